internal import CNgtcp2

/// Packets written one behind the other, until they can leave in one system call (UDP GSO): same
/// path, same ECN, equal size except the last.
struct PacketBatch {
  private let memory: UnsafeMutableRawPointer
  /// Where the packets of the current batch begin, and where the next packet goes.
  private var start = 0
  private var used = 0
  private var segmentSize = 0
  private var packets = 0
  private var ecn = ECN.notCapable
  private var path = NetworkPath(local: .any, remote: .any)
  /// The last packet was shorter than the others: nothing may follow it.
  private(set) var isFinal = false

  init(memory: UnsafeMutableRawPointer) {
    self.memory = memory
  }

  /// Where the next packet is to be written.
  var end: UnsafeMutablePointer<UInt8> {
    (memory + used).assumingMemoryBound(to: UInt8.self)
  }

  func hasRoom(for size: Int) -> Bool {
    used + size <= Self.capacity
  }

  /// Whether a packet of `size` bytes, written at `end`, may leave with those before it.
  func accepts(_ size: Int, ecn: ECN, path: ngtcp2_path) -> Bool {
    packets > 0 && size <= segmentSize && ecn == self.ecn && packets < Self.segmentsMax
      && used - start + size <= Self.bytesMax && PathStorage.load(path) == self.path
  }

  /// Starts a batch with the packet at `end`; the one before must have been taken.
  mutating func begin(ecn: ECN, path: ngtcp2_path) {
    start = used
    segmentSize = 0
    packets = 0
    isFinal = false
    self.ecn = ecn
    self.path = PathStorage.load(path)
  }

  /// Adds the packet that was written at `end`.
  mutating func add(_ size: Int) {
    if packets == 0 { segmentSize = size }
    isFinal = size < segmentSize
    packets += 1
    used += size
  }

  /// The batch, if it is not empty.
  mutating func take() -> DatagramBatch? {
    guard packets > 0 else { return nil }
    // SAFETY: the memory holds `capacity` bytes and outlives the flush.
    let bytes = UnsafeRawBufferPointer(start: memory + start, count: used - start)
    let batch = DatagramBatch(bytes: bytes, segmentSize: segmentSize, path: path, ecn: ecn)
    packets = 0
    start = used
    return batch
  }

  /// Starts over at the front of the memory; everything before must have been taken.
  mutating func rewind() {
    precondition(packets == 0)
    start = 0
    used = 0
  }

  /// UDP_MAX_SEGMENTS of older kernels.
  private static let segmentsMax = 64
  /// The largest UDP payload over IPv4 is 65507.
  private static let bytesMax = 65_000
  /// A few batches, so that a packet that does not fit the first is already where it belongs.
  static let capacity = 4 * 65_536
}
