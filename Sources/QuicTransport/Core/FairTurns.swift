/// Whose packets are read when some connection's cost more than one turn of the loop may spend on it.
///
/// All packets come through the same socket, in the order of their arrival. Those of a connection over
/// its budget are set aside, so that the ones behind them, of others, are read at once; what was set
/// aside is read turn by turn, each connection in its turn.
///
///     within its budget --over it--> waiting (packets are copied) --all read--> within its budget
///
/// What finds no room is dropped, as the kernel would when nobody reads; QUIC sends it again.
final class FairTurns {
  private var turn: UInt64 = 1
  /// Connections with packets that were set aside; the first one's turn is next.
  private var waiting: [ConnectionCore] = []
  /// Of all of them, as `DatagramQueue` counts it.
  private(set) var bytesWaiting = 0
  /// Datagrams that were set aside, and those that found no room.
  private(set) var setAsideCount: UInt64 = 0
  private(set) var droppedCount: UInt64 = 0

  /// Whether packets are set aside: the socket may be read further than usual, as most of that costs
  /// a copy only.
  var isBusy: Bool { !waiting.isEmpty }

  /// Reads `datagram` for `connection`, now or later.
  @inline(__always)
  func take(_ datagram: ReceivedDatagram, for connection: ConnectionCore, now: Instant) {
    if connection.backlog == nil, connection.work.allows(in: turn) {
      connection.receive(datagram, now: now)
    } else {
      setAside(datagram, of: connection, now: now)
    }
  }

  /// Begins the next turn with what was set aside: what one connection may spend in a turn, for all of
  /// them. Returns whether some is left.
  func begin(now: Instant) -> Bool {
    turn += 1
    var left = WorkBudget.perTurn
    var served = 0
    while served < waiting.count, left > 0 {
      left -= serve(waiting[served], upTo: left, now: now)
      served += 1
    }
    let unfinished = waiting[..<served].filter { $0.backlog != nil }
    waiting.removeFirst(served)
    waiting.append(contentsOf: unfinished)
    return isBusy
  }

  private func setAside(
    _ datagram: ReceivedDatagram, of connection: ConnectionCore, now: Instant
  ) {
    guard connection.state.isLive else { return }
    var queue = connection.backlog ?? DatagramQueue(bytesMax: .max)
    var origin = Origin(path: datagram.path, ecn: datagram.ecn)
    let size = datagram.bytes.count + MemoryLayout<Origin>.size + DatagramQueue.overhead
    guard queue.cost + size <= Self.bytesPerConnection, bytesWaiting + size <= Self.bytesMax else {
      droppedCount += 1
      return
    }
    if connection.backlog == nil { waiting.append(connection) }
    connection.backlog = nil
    withUnsafeBytes(of: &origin) { queue.append($0, datagram.bytes, now: now) }
    connection.backlog = queue
    bytesWaiting += size
    setAsideCount += 1
  }

  /// Reads packets of `connection` for so much work, and returns how much it was.
  private func serve(_ connection: ConnectionCore, upTo limit: Int, now: Instant) -> Int {
    guard var queue = connection.backlog else { return 0 }
    connection.backlog = nil
    _ = connection.work.allows(in: turn)
    while !queue.isEmpty, connection.work.spent < limit {
      let size = queue.firstCount + DatagramQueue.overhead
      if connection.state.isLive {
        queue.withFirst { connection.receive(Self.datagram(in: $0), now: now) }
      }
      queue.removeFirst()
      bytesWaiting -= size
    }
    if !queue.isEmpty { connection.backlog = queue }
    return connection.work.spent
  }

  private static func datagram(in bytes: UnsafeRawBufferPointer) -> ReceivedDatagram {
    // SAFETY: `setAside` wrote an Origin in front of the datagram, at any alignment.
    let origin = withUnsafeTemporaryAllocation(of: Origin.self, capacity: 1) { copy in
      UnsafeMutableRawBufferPointer(copy).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes.prefix(MemoryLayout<Origin>.size)))
      return copy[0]
    }
    return ReceivedDatagram(
      bytes: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(MemoryLayout<Origin>.size)),
      path: origin.path, ecn: origin.ecn)
  }

  /// What stands in front of each datagram that was set aside.
  private struct Origin {
    let path: NetworkPath
    let ecn: ECN
  }

  /// As much as the socket of a connection by itself would hold; more would only be older.
  private static let bytesPerConnection = 1 << 20
  /// Of all connections: sixteen that misbehave.
  private static let bytesMax = 16 << 20
}
