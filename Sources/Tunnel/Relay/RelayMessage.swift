internal import HolePunch
internal import QuicTransport

/// What a node and its rendezvous say to each other on the control stream of `qtun-relay/1`, the
/// first bidirectional stream of the node. docs/protocol.md has the bytes and test vectors.
///
/// Unknown types are skipped, and bytes behind the known fields ignored. Types 16 to 19 are about
/// relayed datagrams, 20 to 27 about public listeners, 36 to 43 about who may do what.
enum RelayMessage: WireMessage {
  /// The node's first message.
  case hello(Hello)
  /// The answer: the node may go on.
  case welcome(Welcome)
  /// How the node can be reached from now on.
  case offer(NodeOffer)
  /// The node wants to be found under its identity, for as long as it is connected.
  case register
  /// The node wants to meet another one, for as long as it is connected or until `done`.
  case find(Find)
  /// To a registered node: somebody wants to meet it.
  case knock(Knock)
  /// The registered node has checked the token and agrees.
  case admit(introduction: UInt64)
  /// To both nodes: how to meet.
  case plan(Plan)
  /// The node wants another round.
  case again(introduction: UInt64)
  /// The node needs the introduction no more; it has a path or gives up.
  case done(introduction: UInt64)
  /// The other node is gone, or needs the introduction no more.
  case gone(introduction: UInt64)
  /// Nobody of this identity is registered; the introduction follows when somebody is.
  case absent(peer: PublicKey)
  /// A FIND was not taken; the node may ask again later.
  case throttled(peer: PublicKey, retryAfter: Duration)
  /// About datagrams that the relay moves.
  case forwarding(ForwardingMessage)
  /// About ports and names that the relay listens at for the node.
  case listening(PublicMessage)
  /// About who may do what.
  case access(RelayAccessMessage)
  /// A message of a later version.
  case unknown(type: UInt64)

  /// Whether a relay says this to nodes that it has greeted; what only nodes say breaks the rules.
  var isOfRelay: Bool {
    switch self {
    case .knock, .plan, .gone, .absent, .throttled, .forwarding, .unknown: true
    case .access(let message): message.isOfRelay
    case .listening(let message):
      switch message {
      case .listening, .ended: true
      case .listen, .unlisten, .health: false
      }
    case .hello, .welcome, .offer, .register, .find, .admit, .again, .done: false
    }
  }

  struct Hello: Equatable {
    var version: UInt64
    /// Optional abilities, one bit each: `forwards`.
    var capabilities: UInt64
  }

  struct Welcome: Equatable {
    var version: UInt64
    var capabilities: UInt64
    /// The rendezvous' clock, in seconds since 1970: what tokens are dated with, so that the nodes'
    /// own clocks may be wrong.
    var time: UInt64
    /// The connection ends after so many silent seconds, and with it what was registered.
    var lease: UInt64
    /// Where the node's UDP packets come from; nil when it came over a byte stream.
    var observed: SocketAddress?
    /// UDP ports that answer STUN, at the address of the rendezvous.
    var stunPorts: [UInt16]
  }

  struct Find: Equatable {
    var peer: PublicKey
    /// For the peer, which alone can judge it (`FindToken`).
    var token: [UInt8]
  }

  struct Knock: Equatable {
    /// Names the pair from now on.
    var introduction: UInt64
    var peer: PublicKey
    var token: [UInt8]
  }

  struct Plan: Equatable {
    var introduction: UInt64
    var peer: PublicKey
    /// Of `PunchKeys`: new for every introduction.
    var salt: [UInt8]
    var plan: PunchPlan
  }

  /// The longest body: an offer of 32 candidates has 660 bytes, a token 1100.
  static let bodyMax = 4 * 1024
  static let tokenMax = 2 * 1024
  static let saltCount = 16
  private static let stunPortsMax: UInt64 = 8

  func write(to body: inout WireWriter) -> UInt64 {
    switch self {
    case .hello(let hello):
      body.varint(hello.version)
      body.varint(hello.capabilities)
      return 1
    case .welcome(let welcome):
      Self.write(welcome, to: &body)
      return 2
    case .offer(let offer):
      body.offer(offer)
      return 3
    case .register: return 4
    case .find(let find):
      body.raw(find.peer.bytes)
      body.prefixed(find.token)
      return 5
    case .knock(let knock):
      body.varint(knock.introduction)
      body.raw(knock.peer.bytes)
      body.prefixed(knock.token)
      return 6
    case .admit(let introduction):
      body.varint(introduction)
      return 7
    case .plan(let plan):
      Self.write(plan, to: &body)
      return 8
    case .again(let introduction):
      body.varint(introduction)
      return 9
    case .done(let introduction):
      body.varint(introduction)
      return 10
    case .gone(let introduction):
      body.varint(introduction)
      return 11
    case .absent(let peer):
      body.raw(peer.bytes)
      return 12
    case .throttled(let peer, let delay):
      body.raw(peer.bytes)
      body.varint(UInt64(max(0, delay.wholeNanoseconds / 1_000_000)))
      return 13
    case .forwarding(let message):
      message.write(to: &body)
      return message.type
    case .listening(let message):
      message.write(to: &body)
      return message.type
    case .access(let message):
      message.write(to: &body)
      return message.type
    case .unknown(let unknown): return unknown
    }
  }

  private static func write(_ welcome: Welcome, to body: inout WireWriter) {
    body.varint(welcome.version)
    body.varint(welcome.capabilities)
    body.varint(welcome.time)
    body.varint(welcome.lease)
    body.optionalAddress(welcome.observed)
    body.varint(UInt64(welcome.stunPorts.count))
    for port in welcome.stunPorts { body.uint16(port) }
  }

  private static func write(_ message: Plan, to body: inout WireWriter) {
    let plan = message.plan
    body.varint(message.introduction)
    body.raw(message.peer.bytes)
    body.prefixed(message.salt)
    body.varint(UInt64(plan.round))
    body.varint(UInt64(plan.offer))
    body.byte(plan.mode.rawValue)
    body.byte(plan.role.rawValue)
    body.varint(plan.hold.wholeNanoseconds / 1_000_000)
    body.report(plan.peer)
    body.optionalAddress(plan.observedPeer)
    body.candidates(plan.candidates)
  }

  init?(type: UInt64, body: [UInt8]) {
    var reader = WireReader(body)
    let message: RelayMessage?
    switch type {
    case 1:
      guard let version = reader.varint(), let capabilities = reader.varint() else { return nil }
      message = .hello(Hello(version: version, capabilities: capabilities))
    case 2: message = Self.welcome(&reader)
    case 3: message = reader.offer().map { .offer($0) }
    case 4: message = .register
    case 5:
      guard let peer = reader.key(), let token = reader.prefixed(max: Self.tokenMax) else {
        return nil
      }
      message = .find(Find(peer: peer, token: Array(token)))
    case 6:
      guard let introduction = reader.varint(), let peer = reader.key(),
        let token = reader.prefixed(max: Self.tokenMax)
      else { return nil }
      message = .knock(Knock(introduction: introduction, peer: peer, token: Array(token)))
    case 7: message = reader.varint().map { .admit(introduction: $0) }
    case 8: message = Self.plan(&reader)
    case 9: message = reader.varint().map { .again(introduction: $0) }
    case 10: message = reader.varint().map { .done(introduction: $0) }
    case 11: message = reader.varint().map { .gone(introduction: $0) }
    case 12: message = reader.key().map { .absent(peer: $0) }
    case 13:
      guard let peer = reader.key(), let delay = reader.varint(), delay < Self.delayMax else {
        return nil
      }
      message = .throttled(peer: peer, retryAfter: .milliseconds(Int64(delay)))
    case ForwardingMessage.types: message = ForwardingMessage.message(type: type, &reader)
    case PublicMessage.types: message = PublicMessage.message(type: type, &reader)
    case RelayAccessMessage.types: message = RelayAccessMessage.message(type: type, &reader)
    default: message = .unknown(type: type)
    }
    guard let message else { return nil }
    self = message
  }

  private static func welcome(_ reader: inout WireReader) -> RelayMessage? {
    guard let version = reader.varint(), let capabilities = reader.varint(),
      let time = reader.varint(), let lease = reader.varint(),
      let observed = reader.optionalAddress(), let count = reader.varint(), count <= stunPortsMax
    else { return nil }
    var ports: [UInt16] = []
    for _ in 0..<count {
      guard let port = reader.uint16() else { return nil }
      ports.append(port)
    }
    return .welcome(
      Welcome(
        version: version, capabilities: capabilities, time: time, lease: lease,
        observed: observed, stunPorts: ports))
  }

  private static func plan(_ reader: inout WireReader) -> RelayMessage? {
    guard let introduction = reader.varint(), let peer = reader.key(),
      let salt = reader.prefixed(max: 64),
      let round = reader.varint().flatMap({ UInt32(exactly: $0) }),
      let offer = reader.varint().flatMap({ UInt32(exactly: $0) }),
      let mode = reader.byte().flatMap({ PunchMode(rawValue: $0) }),
      let role = reader.byte().flatMap({ PunchRole(rawValue: $0) }),
      let hold = reader.varint(), hold <= holdMax, let report = reader.report(),
      let observed = reader.optionalAddress(), let candidates = reader.candidates()
    else { return nil }
    let plan = PunchPlan(
      round: round, offer: offer, mode: mode, role: role, hold: .milliseconds(Int64(hold)),
      peer: report, observedPeer: observed, candidates: candidates)
    return .plan(
      Plan(introduction: introduction, peer: peer, salt: Array(salt), plan: plan))
  }

  /// Milliseconds; no honest plan waits longer.
  private static let holdMax: UInt64 = 10_000
  /// A day in milliseconds.
  private static let delayMax: UInt64 = 86_400_000
}

extension WireReader {
  mutating func key() -> PublicKey? { raw(PublicKey.byteCount).flatMap { PublicKey($0) } }
}
