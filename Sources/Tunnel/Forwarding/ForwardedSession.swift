internal import HolePunch
internal import QuicTransport

/// A relayed session at its relay: two legs, and what they may still send.
final class ForwardedSession {
  let number: UInt32
  var legs: [Leg]
  var budget: ByteBudget
  /// While it waits for its turn; nil otherwise.
  var queue: PacketRing?
  /// Bytes that it may send in this turn.
  var deficit = 0
  /// Of the token that it is relayed for, where that has a rate.
  let payer: Purse?
  /// Bytes that its nodes sent since the desk asked last, and whether some of them were lost to the
  /// total rate; counted while that is being dealt out.
  var asked = 0
  var wasCut = false
  private let opened: Instant

  /// One node's end.
  struct Leg {
    /// Of the identity.
    let account: Purse
    /// Of the address: an IPv4 address, or an IPv6 network.
    let neighbours: Purse
    /// Of `BindMessage`; the node has it from its connection to the relay.
    let key: SecretBytes
    /// Where the node is.
    var path: NetworkPath { didSet { kind = CarrierKind(path) } }
    /// What carries its datagrams.
    private(set) var kind: CarrierKind
    var generation: UInt32
    var sequence: UInt16 = 0
    var lastHeard: Instant?
    var lastThrottled: Instant?
    var binds: TokenBucket
  }

  /// Names a leg to whoever knows the nodes.
  struct LegID: Equatable, Sendable {
    let session: UInt32
    let leg: Int
  }

  init(number: UInt32, legs: [Leg], payer: Purse?, budget: ByteBudget, now: Instant) {
    precondition(legs.count == 2)
    self.number = number
    self.legs = legs
    self.payer = payer
    self.budget = budget
    opened = now
  }

  /// Whose datagram it is; nil for one that nobody of this session sent.
  func leg(at path: NetworkPath, generation: UInt32) -> Int? {
    if legs[0].path == path { return legs[0].generation == generation ? 0 : nil }
    if legs[1].path == path { return legs[1].generation == generation ? 1 : nil }
    return nil
  }

  func nextHeader(to leg: Int) -> RelayHeader {
    let header = RelayHeader(
      kind: .data, sequence: legs[leg].sequence, session: number,
      generation: legs[leg].generation)
    legs[leg].sequence &+= 1
    return header
  }

  /// A leg was never used, or was silent for long.
  func isExpired(now: Instant) -> Bool {
    legs.contains { leg in
      guard let heard = leg.lastHeard else { return now - opened >= Self.unusedMax }
      return now - heard >= Self.idleMax
    }
  }

  /// Both nodes know of it and use it at once.
  private static let unusedMax = Duration.seconds(60)
  /// Nodes that keep it as a spare probe it every 15 s.
  private static let idleMax = Duration.seconds(300)
}

extension ForwardedSession.Leg {
  init(_ order: SessionOrder.Leg, account: Purse, neighbours: Purse, now: Instant) {
    self.account = account
    self.neighbours = neighbours
    key = order.key
    path = order.path
    kind = CarrierKind(order.path)
    generation = order.generation
    binds = TokenBucket(rate: Self.bindsPerSecond, burst: Self.bindsBurst, now: now)
  }

  /// A leg moves when its network changes; copies of one message by others are few as well.
  private static let bindsPerSecond = 10.0
  private static let bindsBurst = 40.0
}
