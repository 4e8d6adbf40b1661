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

  /// Where the address comes from, best first.
  public enum Kind: Int, Comparable, Sendable {
    /// An address of an interface that other networks can route to.
    case global
    /// An address of a private network (RFC 1918, RFC 4193).
    case local
    /// This machine only.
    case loopback

    /// Better kinds come first.
    public static func < (left: Kind, right: Kind) -> Bool {
      left.rawValue < right.rawValue
    }
  }
}
