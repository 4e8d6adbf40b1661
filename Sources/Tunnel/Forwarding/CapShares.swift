internal import QuicTransport

/// What the sessions of one shard asked for in a while, so that the relay's total rate can be shared
/// among all sessions as if one loop had them.
struct ShardDemand: Equatable, Sendable {
  /// Sessions that got all they asked for, by the power of two below the bytes of each.
  private(set) var content = [Level](repeating: Level(), count: 48)
  /// Sessions that wanted more.
  private(set) var hungry = 0

  /// Sessions with about as many bytes.
  struct Level: Equatable, Sendable {
    var sessions = 0
    var bytes = 0
  }

  /// Adds a session with the bytes that it asked for.
  mutating func add(_ bytes: Int, isHungry: Bool) {
    if isHungry {
      hungry += 1
    } else if bytes > 0 {
      let level = min(Int.bitWidth - 1 - bytes.leadingZeroBitCount, content.count - 1)
      content[level].sessions += 1
      content[level].bytes += bytes
    }
  }

  /// What is sent where no session gets more than `bytesMax`.
  func bytes(of bytesMax: Int) -> Int {
    content.reduce(hungry * bytesMax) { sum, level in
      sum + min(level.bytes, level.sessions * bytesMax)
    }
  }
}

/// Deals a rate out to shards so that the sessions of all of them share it max-min fairly (Bertsekas
/// and Gallager, Data Networks, §6.5.2): nobody gets more than it asked for, and nobody could get
/// more but by taking it from one who has less.
enum CapShares {
  /// The parts of `rate`, in bytes per second, which together are no more than it.
  ///
  /// - Parameter interval: in which the demands came up.
  static func of(_ rate: Int, demands: [ShardDemand], interval: Duration) -> [Int] {
    precondition(!demands.isEmpty)
    // Each shard can always begin: a session that comes to a quiet one must not wait to be dealt to.
    let reserve = rate / (reserveDivisor * demands.count)
    let rest = rate - reserve * demands.count
    let bytes = max(1, Int(interval.seconds * Double(rest)))
    let level = level(for: bytes, demands)
    let wanted = demands.map { $0.bytes(of: level) }
    let sum = wanted.reduce(0, +)
    // What nobody asked for is for all alike: who asks next has it at once.
    let leftOver = max(0, bytes - sum) / demands.count
    return wanted.map { bytesOfShard in
      reserve + Int(Double(bytesOfShard + leftOver) / Double(max(bytes, sum)) * Double(rest))
    }
  }

  /// Shares for when nothing is known but who is short: nearly all for those.
  static func ofShort(_ isShort: [Bool], rate: Int) -> [Int] {
    let demands = isShort.map { isShort in
      var demand = ShardDemand()
      if isShort { demand.add(0, isHungry: true) }
      return demand
    }
    return of(rate, demands: demands, interval: .seconds(1))
  }

  /// The most that a session gets, so that all together get `bytes`, or all that they asked for.
  private static func level(for bytes: Int, _ demands: [ShardDemand]) -> Int {
    func sum(_ level: Int) -> Int { demands.reduce(0) { $0 + $1.bytes(of: level) } }
    var (low, high) = (0, bytes)
    if sum(high) <= bytes { return high }
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if sum(middle) <= bytes { low = middle } else { high = middle }
    }
    return low
  }

  /// One thirty-second of the rate is kept for those who come to quiet shards.
  private static let reserveDivisor = 32
}
