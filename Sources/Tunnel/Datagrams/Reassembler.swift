internal import QuicTransport

/// Puts datagrams together that a peer had to cut.
///
/// What is incomplete is bounded in number, bytes and time, and the oldest makes room. A fragment that
/// contradicts the others of its datagram is dropped; they stay.
struct Reassembler {
  /// Fragments that were of no use, and those of datagrams that never became whole.
  private(set) var droppedCount: UInt64 = 0
  /// Bytes of fragments that wait for others.
  private(set) var bytesHeld = 0

  private var incomplete: [Key: Incomplete] = [:]
  /// By age, the oldest first.
  private var order: [Key] = []

  private struct Key: Hashable {
    let flow: UInt64
    let number: UInt64
  }

  private struct Incomplete {
    let began: Instant
    var pieces: [[UInt8]?]
    var missing: Int
    var byteCount = 0
  }

  /// Takes a fragment.
  ///
  /// - Returns: the whole datagram, if this was the last that it lacked.
  mutating func add(
    _ fragment: DatagramHeader.Fragment, of flow: UInt64, _ bytes: UnsafeRawBufferPointer,
    now: Instant
  ) -> [UInt8]? {
    expire(now: now)
    let key = Key(flow: flow, number: fragment.number)
    if incomplete[key] == nil { begin(key, count: fragment.count, now: now) }
    guard var datagram = incomplete[key], datagram.pieces.count == fragment.count,
      datagram.pieces[fragment.index] == nil,
      datagram.byteCount + bytes.count <= DatagramHeader.payloadMax
    else {
      droppedCount += 1
      return nil
    }
    // Let go of first, so that the pieces have one owner and are not copied.
    incomplete[key] = nil
    datagram.pieces[fragment.index] = Array(bytes)
    datagram.missing -= 1
    datagram.byteCount += bytes.count
    bytesHeld += bytes.count
    guard datagram.missing > 0 else {
      order.removeAll { $0 == key }
      bytesHeld -= datagram.byteCount
      return datagram.pieces.flatMap { $0 ?? [] }
    }
    incomplete[key] = datagram
    while bytesHeld > Self.bytesMax, let oldest = order.first(where: { $0 != key }) { drop(oldest) }
    return nil
  }

  /// Drops what has waited for too long.
  mutating func expire(now: Instant) {
    while let oldest = order.first, let deadline, deadline <= now { drop(oldest) }
  }

  /// When `expire` has something to do.
  var deadline: Instant? {
    order.first.flatMap { incomplete[$0] }.map { $0.began + Self.ageMax }
  }

  private mutating func begin(_ key: Key, count: Int, now: Instant) {
    if order.count >= Self.datagramsMax, let oldest = order.first { drop(oldest) }
    order.append(key)
    incomplete[key] = Incomplete(
      began: now, pieces: [[UInt8]?](repeating: nil, count: count), missing: count)
  }

  private mutating func drop(_ key: Key) {
    order.removeAll { $0 == key }
    guard let datagram = incomplete.removeValue(forKey: key) else { return }
    bytesHeld -= datagram.byteCount
    droppedCount += UInt64(datagram.pieces.count - datagram.missing)
  }

  /// More than one path reorders; with `DatagramHeader.fragmentsMax` it bounds the places.
  static let datagramsMax = 64
  /// 16 of the largest.
  static let bytesMax = 1024 * 1024
  /// Fragments leave together; what is not here after a second was lost.
  static let ageMax = Duration.seconds(1)
}
