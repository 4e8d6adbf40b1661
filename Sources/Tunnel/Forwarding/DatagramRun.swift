internal import QuicTransport

/// Datagrams for one leg, one behind the other with their headers, until they leave in one system
/// call (UDP GSO): equal sizes, the last may be shorter. Owns its memory; nothing is allocated per
/// datagram.
struct DatagramRun: ~Copyable {
  private let memory = UnsafeMutableRawBufferPointer.allocate(
    byteCount: Self.capacity, alignment: 16)
  private var used = 0
  private var segmentSize = 0
  private var isFinal = false
  private var path = NetworkPath(local: .any, remote: .any)
  private var ecn = ECN.notCapable

  init() {}

  deinit { memory.deallocate() }

  var isEmpty: Bool { used == 0 }

  /// Whether this datagram may leave with those that are here.
  func accepts(_ payload: Int, to path: NetworkPath, ecn: ECN) -> Bool {
    let size = payload + RelayHeader.byteCount
    return used > 0 && !isFinal && size <= segmentSize && ecn == self.ecn
      && used + size <= Self.bytesMax && used / segmentSize < Self.segmentsMax
      && path == self.path
  }

  /// Adds a datagram; begins a run when it is empty.
  mutating func append(
    _ header: RelayHeader, _ payload: UnsafeRawBufferPointer, to path: NetworkPath, ecn: ECN
  ) {
    let size = payload.count + RelayHeader.byteCount
    precondition(used + size <= Self.capacity)
    if used == 0 {
      self.path = path
      self.ecn = ecn
      segmentSize = size
    }
    isFinal = size < segmentSize
    // SAFETY: there is room for `size` bytes, checked above.
    header.write(to: UnsafeMutableRawBufferPointer(rebasing: memory[used...]))
    UnsafeMutableRawBufferPointer(rebasing: memory[(used + RelayHeader.byteCount)...])
      .copyMemory(from: payload)
    used += size
  }

  /// Empties the run; nil when it is empty. Valid until the next `append`.
  mutating func take() -> DatagramBatch? {
    guard used > 0 else { return nil }
    let bytes = UnsafeRawBufferPointer(rebasing: memory[..<used])
    used = 0
    return DatagramBatch(bytes: bytes, segmentSize: segmentSize, path: path, ecn: ecn)
  }

  /// The largest payload that UDP over IPv4, and the frames of byte streams, take with a header.
  static let payloadMax = 65_507 - RelayHeader.byteCount
  /// UDP_MAX_SEGMENTS of older kernels.
  private static let segmentsMax = 64
  /// The largest UDP payload over IPv4 is 65507, for a whole run as well.
  private static let bytesMax = 65_000
  private static let capacity = 65_536
}
