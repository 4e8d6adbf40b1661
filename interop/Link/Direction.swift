/// One direction of the link, sans-I/O: packets and the time come in, packets leave when they are
/// due.
///
///     arrival -> blackhole, size, loss -> queue of the line (rate) -> delay, jitter, reorder -> due
struct Direction {
  /// By `Packet.Kind`.
  var faults = [Faults](repeating: Faults(), count: Packet.Kind.allCases.count)
  /// Bits per second; 0 is no limit.
  var rate: UInt64 = 0
  /// Bytes that wait for the line before the next packet is dropped.
  var queue = Self.queueDefault
  /// The same in packets, as routers count; 0 is no limit.
  var queuePackets = 0
  private(set) var counters = Counters()
  private var dice: Dice
  private var line = DelayLine()
  /// When the line has sent everything that it was given.
  private var lineFree: UInt64 = 0
  /// A packet is not due before the one in front of it.
  private var lastDue: UInt64 = 0
  /// When each packet that waits for the line begins to leave.
  private var starts: [UInt64] = []
  private var isLosing = [Bool](repeating: false, count: Packet.Kind.allCases.count)
  private var lossesInRow = [Int](repeating: 0, count: Packet.Kind.allCases.count)
  private var seen = [Int](repeating: 0, count: Packet.Kind.allCases.count)

  init(seed: UInt64) { dice = Dice(seed: seed) }

  /// When `pop` has something next.
  var nextDue: UInt64? { line.nextDue }

  /// Takes a packet that arrived at this end.
  mutating func accept(_ packet: Packet, now: UInt64) {
    counters.arrived += 1
    let kind = packet.kind.rawValue
    let faults = faults[kind]
    if faults.isBlackhole { return counters.blackholed += 1 }
    seen[kind] += 1
    if faults.dropped?.contains(seen[kind]) == true { return counters.lost += 1 }
    if faults.sizeMax > 0, packet.bytes.count > faults.sizeMax { return counters.oversized += 1 }
    if isLost(kind, faults) { return counters.lost += 1 }
    guard let sent = transmit(packet.bytes.count, now: now) else { return counters.overflowed += 1 }
    var packet = packet
    if dice.hits(faults.corrupt), packet.corrupt(&dice, head: faults.corruptedHead) {
      counters.corrupted += 1
    }
    var due = sent + faults.delay
    if faults.jitter > 0 { due += dice.next() % faults.jitter }
    if dice.hits(faults.reorder) {
      due += faults.reorderDelay
      counters.reordered += 1
    } else {
      due = max(due, lastDue)
      lastDue = due
    }
    if dice.hits(faults.duplicate) {
      counters.duplicated += 1
      line.insert(packet, due: due)
    }
    line.insert(packet, due: due)
  }

  /// The next packet that is to leave by now.
  mutating func pop(now: UInt64) -> Packet? {
    guard let packet = line.pop(now: now) else { return nil }
    counters.left += 1
    return packet
  }

  /// A shorter delay takes effect at once instead of behind what is already on its way.
  mutating func forgetOrder() { lastDue = 0 }

  /// Packets of this kind are counted from here.
  mutating func forgetCount(_ kind: Packet.Kind) { seen[kind.rawValue] = 0 }

  /// Each by itself, or in two states (Gilbert 1960): within a series every packet is lost, outside none is. The
  /// chances to enter and to leave make the mean loss and the mean length what was asked for.
  private mutating func isLost(_ kind: Int, _ faults: Faults) -> Bool {
    guard faults.loss > 0 else {
      isLosing[kind] = false
      return false
    }
    guard faults.loss < 1, faults.burst > 1 else {
      let isSpared = faults.lossesInRowMax > 0 && lossesInRow[kind] >= faults.lossesInRowMax
      let isHit = dice.hits(faults.loss) && !isSpared
      lossesInRow[kind] = isHit ? lossesInRow[kind] + 1 : 0
      return isHit
    }
    let leave = 1 / faults.burst
    if isLosing[kind] {
      isLosing[kind] = !dice.hits(leave)
    } else {
      isLosing[kind] = dice.hits(faults.loss / (1 - faults.loss) * leave)
    }
    return isLosing[kind]
  }

  /// When the line has sent these bytes; nil if there is no room for them.
  private mutating func transmit(_ count: Int, now: UInt64) -> UInt64? {
    guard line.byteCount + count <= Self.bytesMax else { return nil }
    guard rate > 0 else { return now }
    let start = max(lineFree, now)
    let waiting = (start - now) / 8 * rate / 1_000_000_000
    guard waiting + UInt64(count) <= UInt64(queue) else { return nil }
    if queuePackets > 0 {
      starts.removeAll { $0 <= now }
      guard starts.count < queuePackets else { return nil }
      starts.append(start)
    }
    lineFree = start + UInt64(count) * 8 * 1_000_000_000 / rate
    return lineFree
  }

  /// A tenth of a second at 20 Mbit/s, as cheap routers have.
  private static let queueDefault = 256 * 1024
  /// Half a second at 1 Gbit/s; what a link may hold whatever is asked of it.
  private static let bytesMax = 64 << 20
}

/// What became of the packets of one direction.
struct Counters {
  var arrived = 0
  var left = 0
  var lost = 0
  var blackholed = 0
  var oversized = 0
  var overflowed = 0
  var duplicated = 0
  var reordered = 0
  var corrupted = 0

  /// One JSON object.
  var json: String {
    let members = [
      ("arrived", arrived), ("left", left), ("lost", lost), ("blackholed", blackholed),
      ("oversized", oversized), ("overflowed", overflowed), ("duplicated", duplicated),
      ("reordered", reordered), ("corrupted", corrupted),
    ]
    return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
  }
}
