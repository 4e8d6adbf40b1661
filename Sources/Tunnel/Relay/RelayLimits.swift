/// What a relay grants; each bound has its reason here. On by default.
public struct RelayLimits: Sendable {
  /// Nodes at once: about 20 kB each with their connections.
  public var nodesMax = 10_000
  /// Nodes behind one address (one IPv4 address, one IPv6 /64): an office behind one gateway.
  public var nodesPerAddressMax = 64
  /// Registered connections of one identity: a share that came back, and others with its key.
  public var processesPerNodeMax = 8
  /// Peers that one node may look for at once.
  public var findsPerNodeMax = 16
  /// FINDs that one address may send in a second, and in a burst: each may knock at somebody.
  public var findsPerSecond = 5.0
  /// See `findsPerSecond`.
  public var findsBurst = 50.0
  /// Introductions that a registered node takes part in at once.
  public var introductionsPerNodeMax = 256
  /// Control messages of one node in a second, and in a burst. Trickled offers are a few.
  public var messagesPerSecond = 20.0
  /// See `messagesPerSecond`.
  public var messagesBurst = 200.0
  /// Rounds of one introduction in a second: a side asks for one every 5 s at most, but offers may
  /// change several times while a network is being measured.
  public var roundsPerSecond = 4.0
  /// See `roundsPerSecond`.
  public var roundsBurst = 16.0
  /// Datagrams that nodes send each other through the relay.
  public var forwarding = ForwardingLimits()
  /// Ports and names that it listens at for nodes.
  public var listening = PublicLimits()

  /// The defaults.
  public init() {}
}
