/// What a relay forwards for whom; each bound has its reason here. On by default.
public struct ForwardingLimits: Sendable {
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
}
