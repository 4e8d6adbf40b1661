internal import QuicTransport

/// Deals the relay's total rate out to its shards, again and again for as long as it binds.
///
///     even --a shard is short--> guessing: nearly all for those that are; shards begin to count
///     guessing --50 ms--> ask --all have said what their sessions wanted--> dealing by that
///     dealing --50 ms--> ask ...  --a second without shortage--> even, nobody counts
///
/// Sans-I/O, on the desk's loop. While the rate does not bind nothing is sent and no timer runs.
final class CapDealer {
  /// Gives a shard its share, in bytes per second, and says whether it is to count.
  var onShare: (_ shard: Int, _ bytesPerSecond: Int, _ counts: Bool) -> Void = { _, _, _ in }
  /// Asks a shard what its sessions wanted; `take(demand:of:)` follows.
  var onAsk: (_ shard: Int) -> Void = { _ in }

  private let loop: any EventLoop
  private let shardCount: Int
  private var rate: Int
  /// What each has said in this round; nil for one that has not.
  private var demands: [ShardDemand?]
  private var isShort: [Bool]
  private var state = State.even
  private var isAsking = false
  private var quietRounds = 0
  private var roundBegan: Instant
  private var timer: LoopTimer?

  /// - Parameter rate: to share out, in bytes per second.
  init(shardCount: Int, rate: Int, loop: any EventLoop) {
    self.shardCount = shardCount
    self.rate = rate
    self.loop = loop
    demands = Array(repeating: nil, count: shardCount)
    isShort = Array(repeating: false, count: shardCount)
    roundBegan = loop.now
    timer = LoopTimer { [weak self] _ in self?.ask() }
  }

  /// What each shard has while the rate does not bind.
  static func evenShare(of rate: Int, shardCount: Int) -> Int { max(1, rate / shardCount) }

  /// Another rate; shares are even again, and the shards know it.
  func apply(rate: Int) {
    self.rate = rate
    rest()
  }

  /// A shard has more to send than its share. It says so once for each share.
  func take(shortage shard: Int) {
    if state == .even {
      state = .guessing
      quietRounds = 0
      begin()
    }
    guard !isShort[shard] else { return }
    isShort[shard] = true
    if state == .guessing { deal(CapShares.ofShort(isShort, rate: rate)) }
  }

  /// A shard says what its sessions wanted since it was asked last.
  func take(demand: ShardDemand, of shard: Int) {
    guard isAsking else { return }
    demands[shard] = demand
    let all = demands.compactMap { $0 }
    guard all.count == shardCount else { return }
    isAsking = false
    state = .dealing
    let isQuiet = !isShort.contains(true) && all.allSatisfy { $0.hungry == 0 }
    quietRounds = isQuiet ? quietRounds + 1 : 0
    if quietRounds >= Self.quietRoundsMax { return rest() }
    deal(CapShares.of(rate, demands: all, interval: loop.now - roundBegan))
    begin()
  }

  /// Ends; shares stay as they are.
  func close() {
    state = .even
    isAsking = false
    if let timer { loop.cancel(timer) }
  }

  private func begin() {
    roundBegan = loop.now
    demands = Array(repeating: nil, count: shardCount)
    isShort = Array(repeating: false, count: shardCount)
    if let timer { loop.schedule(timer, at: loop.now + Self.roundInterval) }
  }

  private func ask() {
    isAsking = true
    for shard in 0..<shardCount { onAsk(shard) }
  }

  private func deal(_ shares: [Int]) {
    for (shard, share) in shares.enumerated() { onShare(shard, max(1, share), true) }
  }

  private func rest() {
    close()
    isShort = Array(repeating: false, count: shardCount)
    let share = Self.evenShare(of: rate, shardCount: shardCount)
    for shard in 0..<shardCount { onShare(shard, share, false) }
  }

  private static let roundInterval = Duration.milliseconds(50)
  /// A second.
  private static let quietRoundsMax = 20

  private enum State {
    case even
    case guessing
    case dealing
  }
}
