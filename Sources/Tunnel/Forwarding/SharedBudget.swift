internal import QuicTransport
internal import Synchronization

/// A rate in bytes, or in other things, per second with bursts, that several shards draw on: as
/// `ByteBudget`, with the time at which all that was taken would have been sent in an atomic number.
final class SharedBudget: Sendable {
  private let paidUntil: Atomic<UInt64>
  private let nanosecondsPerKilobyte: Atomic<UInt64>
  /// In nanoseconds at the rate.
  private let burst: Atomic<UInt64>
  private let rate: Atomic<Int>

  /// - Parameter burst: what may be taken at once; at least one datagram.
  init(perSecond: Int, burst: Int, now: Instant) {
    paidUntil = Atomic(now.nanoseconds)
    nanosecondsPerKilobyte = Atomic(0)
    self.burst = Atomic(0)
    rate = Atomic(perSecond)
    apply(perSecond: perSecond, burst: burst, now: now)
  }

  /// As it was given.
  var perSecond: Int { rate.load(ordering: .relaxed) }

  /// Takes another rate; what is owed is forgotten.
  func apply(perSecond: Int, burst: Int, now: Instant) {
    precondition(perSecond > 0 && burst > 0)
    let price = max(1, 1_024_000_000_000 / UInt64(perSecond))
    rate.store(perSecond, ordering: .relaxed)
    nanosecondsPerKilobyte.store(price, ordering: .relaxed)
    self.burst.store(UInt64(burst) * price / 1_024, ordering: .relaxed)
    paidUntil.store(now.nanoseconds, ordering: .relaxed)
  }

  /// Takes `count`; false, and takes nothing, when there are not as many. From any thread.
  func take(_ count: Int, now: Instant) -> Bool {
    let price = UInt64(count) * nanosecondsPerKilobyte.load(ordering: .relaxed) / 1_024
    let latest = now.nanoseconds + burst.load(ordering: .relaxed)
    var paid = paidUntil.load(ordering: .relaxed)
    while true {
      let end = max(paid, now.nanoseconds) + price
      guard end <= latest else { return false }
      let (exchanged, original) = paidUntil.weakCompareExchange(
        expected: paid, desired: end, ordering: .relaxed)
      if exchanged { return true }
      paid = original
    }
  }
}

/// What one identity, one address or the holders of one token may send at a relay, on all shards.
final class ForwardingAccount: Sendable {
  let bytes: SharedBudget
  /// Messages that move its legs.
  let binds: SharedBudget

  init(_ rates: ForwardingLimits.Rates, burst: Int, now: Instant) {
    bytes = SharedBudget(perSecond: rates.bytesPerSecond, burst: burst, now: now)
    binds = SharedBudget(
      perSecond: rates.bindsPerSecond, burst: Self.bindsBurst(rates), now: now)
  }

  /// Takes other rates; what is owed is forgotten.
  func apply(_ rates: ForwardingLimits.Rates, burst: Int, now: Instant) {
    bytes.apply(perSecond: rates.bytesPerSecond, burst: burst, now: now)
    binds.apply(perSecond: rates.bindsPerSecond, burst: Self.bindsBurst(rates), now: now)
  }

  /// What a share with hundreds of visitors needs when its network changes.
  private static func bindsBurst(_ rates: ForwardingLimits.Rates) -> Int {
    5 * rates.bindsPerSecond
  }
}

/// An account as one shard has it: with several shards it takes more than it needs at once, so that
/// they seldom touch the same memory.
final class Purse {
  let account: ForwardingAccount
  /// Legs and payers that use it.
  var users = 0
  /// Taken from the account and not spent.
  private var inHand = 0
  private let portion: Int

  /// - Parameter portion: bytes that are taken at once, if there are as many; zero for no more than
  ///   needed.
  init(account: ForwardingAccount, portion: Int) {
    self.account = account
    self.portion = portion
  }

  /// Takes `count` bytes; false, and takes nothing, when there are not as many.
  func take(_ count: Int, now: Instant) -> Bool {
    if inHand >= count {
      inHand -= count
      return true
    }
    let missing = count - inHand
    if portion > missing, account.bytes.take(portion, now: now) {
      inHand = portion - missing
      return true
    }
    guard account.bytes.take(missing, now: now) else { return false }
    inHand = 0
    return true
  }

  /// Gives back what was taken just now.
  func restore(_ count: Int) { inHand += count }
}
