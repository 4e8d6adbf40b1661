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
  let payer: Payer?
  private let opened: Instant

  /// One node's end.
  struct Leg {
    let identity: PublicKey
    /// Under which its node's address is counted: an IPv4 address, or an IPv6 network.
    let address: UInt64
    /// Of the identity.
    let account: ForwardingAccount
    /// Of the address.
    let neighbours: ForwardingAccount
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
  struct LegID: Equatable {
    let session: UInt32
    let leg: Int
  }

  /// A token with a rate, and what its holders have together.
  struct Payer {
    let token: RelayTokenID
    let account: ForwardingAccount
  }

  init(number: UInt32, legs: [Leg], payer: Payer?, budget: ByteBudget, now: Instant) {
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
  init(
    party: Forwarder.Party, account: ForwardingAccount, neighbours: ForwardingAccount,
    key: SecretBytes, generation: UInt32, now: Instant
  ) {
    identity = party.identity
    address = party.address
    self.account = account
    self.neighbours = neighbours
    self.key = key
    path = party.path
    kind = CarrierKind(party.path)
    self.generation = generation
    binds = TokenBucket(rate: Self.bindsPerSecond, burst: Self.bindsBurst, now: now)
  }

  /// A leg moves when its network changes; copies of one message by others are few as well.
  private static let bindsPerSecond = 10.0
  private static let bindsBurst = 40.0
}

/// What one identity, one address or the holders of one token have at a relay.
final class ForwardingAccount {
  var sessions = 0
  var budget: ByteBudget
  /// Messages that move its legs.
  var binds: TokenBucket

  init(bytesPerSecond: Int, bindsPerSecond: Int, burst: Int, now: Instant) {
    budget = ByteBudget(bytesPerSecond: bytesPerSecond, burst: burst, now: now)
    binds = Self.bucket(bindsPerSecond, now: now)
  }

  /// Takes other rates; what is owed is forgotten.
  func apply(bytesPerSecond: Int, bindsPerSecond: Int, burst: Int, now: Instant) {
    budget = ByteBudget(bytesPerSecond: bytesPerSecond, burst: burst, now: now)
    binds = Self.bucket(bindsPerSecond, now: now)
  }

  /// The burst is what a share with hundreds of visitors needs when its network changes.
  private static func bucket(_ perSecond: Int, now: Instant) -> TokenBucket {
    TokenBucket(rate: Double(perSecond), burst: Double(5 * perSecond), now: now)
  }
}
