/// What a relay grants to those who listen publicly and to their visitors; each bound has its reason
/// here. On by default.
public struct PublicLimits: Equatable, Sendable {
  /// Listeners at once: a descriptor each.
  public var listenersMax = 2_048
  /// Of one connection: a share has so many services.
  public var listenersPerNodeMax = 16
  /// Ports and names that one key or group holds, in use or kept.
  public var leasesPerHolderMax = 32
  /// Ports and names in all: a few hundred bytes each, and the file with them.
  public var leasesMax = 10_000
  /// Of all nodes behind one address, in use: whoever makes up identities has no more than this.
  public var listenersPerAddressMax = 64
  /// Nodes that share one port or name.
  public var membersMax = 64
  /// How long a lease is kept for its holder when nobody uses it: longer than a restart of a machine.
  public var leaseKept = Duration.seconds(3_600)
  /// How soon it may go to another when nothing else is free.
  public var leaseKeptAtLeast = Duration.seconds(60)
  /// Visitors of one listener at once.
  public var visitorsPerListenerMax = 2_048
  /// Visitors from one address (an IPv4 address, an IPv6 /64), of all listeners: an office behind one
  /// gateway, with a few connections of each browser.
  public var visitorsPerSourceMax = 512
  /// Visitors of one node: a quarter of the streams that a node takes.
  public var visitorsPerNodeMax = 4_096
  /// Visitors in all: two descriptors and some kilobytes each.
  public var visitorsMax = 16_384
  /// Those of them that have not said yet whom they want.
  public var undecidedMax = 1_024
  /// And of one source.
  public var undecidedPerSourceMax = 128
  /// How long they may take for it.
  public var undecidedFor = Duration.seconds(10)

  /// Connections by HTTP/3, each with some tens of kilobytes; their requests are visitors and count
  /// as such.
  public var visitsByHTTP3Max = 4_096

  /// The defaults.
  public init() {}
}
