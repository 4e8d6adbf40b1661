internal import Tunnel

extension RelayLimit {
  /// A value as people read it.
  func text(_ value: Int) -> String {
    isByteRate ? Format.rate(bytes: UInt64(value), in: .seconds(1)) : String(value)
  }

  /// What it bounds, for the help page.
  var summary: String {
    switch self {
    case .nodes: "nodes that are connected"
    case .nodesPerAddress: "nodes behind one address"
    case .guests: "nodes that only look for others, and need no token"
    case .registrationsPerIdentity: "shares with one identity; a newer one pushes out the oldest"
    case .findsPerNode: "peers that one node looks for at once"
    case .findRate: "searches from one address in a second, ten times as many in a burst"
    case .introductionsPerNode: "peers that one share is introduced to at once"
    case .messageRate: "messages of one node in a second, ten times as many in a burst"
    case .sessions: "sessions that the relay moves data for"
    case .sessionsPerIdentity: "of one identity"
    case .sessionsPerAddress: "of the nodes behind one address"
    case .bindRatePerIdentity:
      "moves of one identity's sessions to another address in a second, five times as many in a "
        + "burst"
    case .bindRatePerAddress: "the same for the nodes behind one address"
    case .rate: "what the relay moves in all, shared fairly"
    case .ratePerSession: "what one session sends, both sides together"
    case .ratePerIdentity: "what one identity sends, in all its sessions"
    case .ratePerAddress: "what the nodes behind one address send"
    case .listeners: "public listeners, each at a port or under a name"
    case .listenersPerNode: "of one share"
    case .listenersPerAddress: "of the shares behind one address"
    case .leases: "public ports and names that belong to somebody, in use or kept"
    case .leasesPerHolder: "of one identity or group"
    case .visitors: "TCP connections of visitors"
    case .visitorsPerNode: "of one share"
    case .visitorsPerListener: "at one port or name"
    case .visitorsPerAddress: "from one address"
    }
  }
}
