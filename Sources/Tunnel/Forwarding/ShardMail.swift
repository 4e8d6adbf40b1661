internal import QuicTransport

/// A session as the desk hands it to the shard that is to have it.
struct SessionOrder: Sendable {
  let number: UInt32
  /// Two.
  let legs: [Leg]
  /// Of the token that it is relayed for, where that has a rate.
  let payer: ForwardingAccount?

  /// One node's end.
  struct Leg: Sendable {
    /// Where the node is at first.
    let path: NetworkPath
    /// Of `BindMessage`.
    let key: SecretBytes
    /// The first one.
    let generation: UInt32
    /// Of the identity.
    let account: ForwardingAccount
    /// Of the address.
    let neighbours: ForwardingAccount
  }
}

/// What a shard is told.
enum ShardMail: Sendable {
  case open(SessionOrder)
  case close(UInt32)
  case apply(ForwardingLimits)
  /// Of the total rate, in bytes per second; whether it is to count what its sessions ask for.
  case share(Int, counts: Bool)
  /// Tell what they asked for since the last time.
  case tellDemand
  /// Datagrams of its sessions that came in elsewhere.
  case arrived(DatagramParcel)
  /// End everything.
  case stop
}

/// What the desk is told by shards on other loops.
enum DeskMail: Sendable {
  /// A leg sends more than it may, and to which rate it is held.
  case throttled(ForwardedSession.LegID, Int)
  /// A session was not used for so long that it is over.
  case expired(UInt32)
  /// A shard has more to send than its share of the total rate.
  case short(shard: Int)
  case demand(shard: Int, ShardDemand)
  /// Datagrams for this loop that came in at a shard's socket.
  case arrived(DatagramParcel)
  /// Datagrams for carriers of this loop.
  case leaving(DatagramParcel)
  /// It has stopped.
  case stopped(shard: Int)
}
