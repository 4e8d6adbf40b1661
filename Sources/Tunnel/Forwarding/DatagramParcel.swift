internal import QuicTransport

/// Datagrams on their way from one loop to another: all of a tick in one piece of memory.
struct DatagramParcel: Sendable {
  private(set) var bytes: [UInt8] = []
  private var entries: [Entry] = []

  private struct Entry: Sendable {
    let count: Int
    let segmentSize: Int
    let path: NetworkPath
    let ecn: ECN
  }

  var isEmpty: Bool { entries.isEmpty }
  /// Datagrams, or batches of equal ones.
  var count: Int { entries.count }

  /// - Parameter byteCount: of the last one, as a guess.
  init(reserving byteCount: Int = 0) {
    bytes.reserveCapacity(byteCount)
  }

  mutating func append(_ batch: DatagramBatch) {
    bytes.append(contentsOf: batch.bytes)
    entries.append(
      Entry(
        count: batch.bytes.count, segmentSize: batch.segmentSize, path: batch.path,
        ecn: batch.ecn))
  }

  /// Hands out each in turn; valid during the call.
  func forEach(_ body: (DatagramBatch) -> Void) {
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      for entry in entries {
        let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + entry.count])
        offset += entry.count
        body(
          DatagramBatch(
            bytes: part, segmentSize: entry.segmentSize, path: entry.path, ecn: entry.ecn))
      }
    }
  }
}

/// Gathers the datagrams of a tick for another loop and posts them as one parcel at its end.
final class ParcelPost {
  private let loop: any EventLoop
  private let post: (DatagramParcel) -> Void
  private var parcel = DatagramParcel()
  private var lastCount = 0
  private var isQueued = false

  init(loop: any EventLoop, post: @escaping (DatagramParcel) -> Void) {
    self.loop = loop
    self.post = post
  }

  func add(_ datagram: ReceivedDatagram) {
    add(
      DatagramBatch(
        bytes: datagram.bytes, segmentSize: datagram.bytes.count, path: datagram.path,
        ecn: datagram.ecn))
  }

  func add(_ batch: DatagramBatch) {
    if parcel.bytes.count + batch.bytes.count > Self.bytesMax { flush() }
    if parcel.isEmpty { parcel = DatagramParcel(reserving: lastCount) }
    parcel.append(batch)
    guard !isQueued else { return }
    isQueued = true
    loop.flushAtEndOfTick(self)
  }

  private func flush() {
    guard !parcel.isEmpty else { return }
    lastCount = parcel.bytes.count
    post(parcel)
    parcel = DatagramParcel()
  }

  /// What may wait for a loop: with `bytesMax`, 4 MiB from each other loop, as much as a socket holds.
  static let waitingMax = 16
  private static let bytesMax = 256 * 1024
}

extension ParcelPost: TickMember {
  func endOfTick(now: Instant) {
    isQueued = false
    flush()
  }
}
