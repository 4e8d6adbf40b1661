public import QuicTransport

/// An address at which a node may be reached, and how good it promises to be.
public struct Candidate: Hashable, Sendable {
  /// Where a peer may send to.
  public let address: SocketAddress
  /// How far the address reaches.
  public let kind: Kind

  /// A candidate of a known kind.
  public init(address: SocketAddress, kind: Kind) {
    self.address = address
    self.kind = kind
  }

  /// Where the address comes from, in the order in which a ticket lists them: the farthest reach
  /// first.
  public enum Kind: Int, Comparable, Sendable, CaseIterable {
    /// An address of an interface that other networks can route to.
    case global
    /// A port of our gateway that it forwards on request (PCP, NAT-PMP, UPnP).
    case mapped
    /// An address of ours that a peer saw in a probe.
    case peerReflexive
    /// An address of ours that a server saw.
    case reflexive
    /// A port that our NAT will probably use next.
    case predicted
    /// An address of a private network (RFC 1918, RFC 4193).
    case local
    /// This machine only.
    case loopback
    /// A relay's address.
    case relayed

    /// Kinds that reach farther come first.
    public static func < (left: Kind, right: Kind) -> Bool {
      left.rawValue < right.rawValue
    }

    /// How good a path to such an address promises to be, higher is better; the type preferences
    /// of RFC 8445 §5.1.2.2, with more steps.
    public var preference: Int {
      switch self {
      case .loopback: 127
      case .local: 126
      case .global: 120
      case .mapped: 115
      case .peerReflexive: 110
      case .reflexive: 100
      case .predicted: 90
      case .relayed: 20
      }
    }
  }
}
