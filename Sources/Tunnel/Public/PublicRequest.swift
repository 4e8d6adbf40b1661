internal import QuicTransport

/// A node's wish that the relay listen for it.
struct PublicRequest: Equatable {
  /// Names the listener from now on; no other one of the connection has it.
  var number: UInt64
  /// Nil for a kind of a later version.
  var kind: PublicKind?
  /// 0 asks for the port that the node had before, or for a free one.
  var port: UInt16
  /// Lower case; empty for kinds without a name.
  var name: String
  /// Tells the shares of one identity apart, so that each has its port back: says nothing to others.
  var label: [UInt8]
  /// What all nodes of a group show, and nobody else can; empty for a node by itself.
  var group: [UInt8]
  /// How a group shares the connections. The first of its nodes decides.
  var balance: Balance

  static let labelCount = 8
  static let groupCount = 32
  /// The longest host name (RFC 1035 §2.3.4).
  static let nameMax = 253
}
