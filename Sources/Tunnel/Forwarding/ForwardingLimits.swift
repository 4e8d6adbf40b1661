internal import QuicTransport

/// What a relay forwards for whom; each bound has its reason here. On by default.
public struct ForwardingLimits: Equatable, Sendable {
  /// Sessions at once: under a kilobyte each, until the total rate binds.
  public var sessionsMax = 10_000
  /// Sessions of one identity: a share with many visitors.
  public var sessionsPerIdentityMax = 256
  /// Sessions of nodes behind one address: an office behind one gateway.
  public var sessionsPerAddressMax = 1_024
  /// 200 Mbit/s: more than most uplinks, less than a relay has.
  public var bytesPerSecondOfSession = 25_000_000
  /// What one identity sends in all its sessions.
  public var bytesPerSecondOfIdentity = 50_000_000
  /// What the nodes behind one address send: 800 Mbit/s, an office behind one gateway.
  public var bytesPerSecondOfAddress = 100_000_000
  /// Messages that move the legs of one identity, in a second: each costs some microseconds, and a
  /// share with many visitors moves all of its legs at once. Five times as many in a burst.
  public var bindsPerSecondOfIdentity = 200
  /// The same for the nodes behind one address.
  public var bindsPerSecondOfAddress = 1_000
  /// What the relay sends in all: 1 Gbit/s, what the usual public machine has. Sessions share it
  /// fairly.
  public var bytesPerSecond = 125_000_000
  /// What a session, an identity or the relay may send at once: 20 ms of the default rate of one
  /// session, and eight of the largest datagrams.
  public var burst = 500_000
  /// What waits for its turn when the total rate binds, for each session: 100 ms at 10 Mbit/s.
  public var queueBytesOfSession = 128 * 1024
  /// And for all of them.
  public var queueBytes = 64 * 1024 * 1024

  /// The defaults.
  public init() {}

  /// What one of `shardCount` forwarders may send before the rate is dealt out by what they need. Bursts
  /// are dealt out as well, but for two of the largest datagrams.
  func totalBudget(shardCount: Int, now: Instant) -> ByteBudget {
    ByteBudget(
      bytesPerSecond: CapDealer.evenShare(of: bytesPerSecond, shardCount: shardCount),
      burst: shardCount == 1 ? burst : max(burst / shardCount, 2 * DatagramRun.payloadMax),
      now: now)
  }

  /// What an account may do.
  struct Rates {
    let bytesPerSecond: Int
    let bindsPerSecond: Int
  }

  var ofIdentity: Rates {
    Rates(
      bytesPerSecond: bytesPerSecondOfIdentity, bindsPerSecond: bindsPerSecondOfIdentity)
  }

  var ofAddress: Rates {
    Rates(bytesPerSecond: bytesPerSecondOfAddress, bindsPerSecond: bindsPerSecondOfAddress)
  }
}
