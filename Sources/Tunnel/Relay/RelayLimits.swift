/// What a relay grants; each bound has its reason here. On by default.
public struct RelayLimits: Equatable, Sendable {
  /// Nodes at once: some 51 kB each with their connections, and 63 over TCP.
  public var nodesMax = 10_000
  /// Nodes behind one address (one IPv4 address, one IPv6 /64): an office behind one gateway.
  public var nodesPerAddressMax = 64
  /// Nodes that only look for others, and need no right for it: they must not take the places of
  /// those who have one.
  public var guestsMax = 5_000
  /// Registered connections of one identity: a share that came back, and others with its key.
  public var processesPerNodeMax = 8
  /// Peers that one node may look for at once.
  public var findsPerNodeMax = 16
  /// FINDs that one address may send in a second, ten times as many in a burst: each may knock at
  /// somebody.
  public var findsPerSecond = 5
  /// Introductions that a registered node takes part in at once.
  public var introductionsPerNodeMax = 256
  /// Control messages of one node in a second, ten times as many in a burst. Trickled offers are a
  /// few.
  public var messagesPerSecond = 20
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

  /// Bursts are so many times what is allowed in a second.
  static let burstFactor = 10
}

/// A limit of a relay that its operator may set, by the name on the command line.
public enum RelayLimit: String, CaseIterable, Sendable {
  case nodes
  case nodesPerAddress = "nodes-per-address"
  case guests
  case registrationsPerIdentity = "registrations-per-identity"
  case findsPerNode = "finds-per-node"
  case findRate = "find-rate"
  case introductionsPerNode = "introductions-per-node"
  case messageRate = "message-rate"
  case sessions
  case sessionsPerIdentity = "sessions-per-identity"
  case sessionsPerAddress = "sessions-per-address"
  case bindRatePerIdentity = "bind-rate-per-identity"
  case bindRatePerAddress = "bind-rate-per-address"
  case rate
  case ratePerSession = "rate-per-session"
  case ratePerIdentity = "rate-per-identity"
  case ratePerAddress = "rate-per-address"
  case listeners
  case listenersPerNode = "listeners-per-node"
  case listenersPerAddress = "listeners-per-address"
  case leases
  case leasesPerHolder = "leases-per-holder"
  case visitors
  case visitorsPerNode = "visitors-per-node"
  case visitorsPerListener = "visitors-per-listener"
  case visitorsPerAddress = "visitors-per-address"

  /// Whether it is in bytes per second.
  public var isByteRate: Bool {
    switch self {
    case .rate, .ratePerSession, .ratePerIdentity, .ratePerAddress: true
    default: false
    }
  }

  /// What it may be set to: one at least, or it would be a switch, and no more than the machine's
  /// memory or a sum can take.
  public var range: ClosedRange<Int> {
    switch self {
    case .rate, .ratePerSession, .ratePerIdentity, .ratePerAddress:
      10_000...RelayScope.bytesPerSecondMax
    case .nodes, .guests: 1...1_000_000
    default: 1...100_000
    }
  }

  /// Where it stands.
  var place: WritableKeyPath<RelayLimits, Int> {
    switch self {
    case .nodes: \.nodesMax
    case .nodesPerAddress: \.nodesPerAddressMax
    case .guests: \.guestsMax
    case .registrationsPerIdentity: \.processesPerNodeMax
    case .findsPerNode: \.findsPerNodeMax
    case .findRate: \.findsPerSecond
    case .introductionsPerNode: \.introductionsPerNodeMax
    case .messageRate: \.messagesPerSecond
    case .sessions: \.forwarding.sessionsMax
    case .sessionsPerIdentity: \.forwarding.sessionsPerIdentityMax
    case .sessionsPerAddress: \.forwarding.sessionsPerAddressMax
    case .bindRatePerIdentity: \.forwarding.bindsPerSecondOfIdentity
    case .bindRatePerAddress: \.forwarding.bindsPerSecondOfAddress
    case .rate: \.forwarding.bytesPerSecond
    case .ratePerSession: \.forwarding.bytesPerSecondOfSession
    case .ratePerIdentity: \.forwarding.bytesPerSecondOfIdentity
    case .ratePerAddress: \.forwarding.bytesPerSecondOfAddress
    case .listeners: \.listening.listenersMax
    case .listenersPerNode: \.listening.listenersPerNodeMax
    case .listenersPerAddress: \.listening.listenersPerAddressMax
    case .leases: \.listening.leasesMax
    case .leasesPerHolder: \.listening.leasesPerHolderMax
    case .visitors: \.listening.visitorsMax
    case .visitorsPerNode: \.listening.visitorsPerNodeMax
    case .visitorsPerListener: \.listening.visitorsPerListenerMax
    case .visitorsPerAddress: \.listening.visitorsPerSourceMax
    }
  }
}

extension RelayLimits {
  /// The limit of that name.
  public subscript(limit: RelayLimit) -> Int {
    get { self[keyPath: limit.place] }
    set { self[keyPath: limit.place] = newValue }
  }
}
