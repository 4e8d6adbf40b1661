import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Who may use a relay", .timeLimit(.minutes(1)))
struct RelayGateTests {
  private let loop = SimLoop()
  private let network: SimNetwork
  private let folder: TemporaryFolder
  private let file: TokenFile
  private let clock = Clock()

  private final class Clock {
    var time: UInt64 = 1_800_000_000
  }

  init() throws {
    network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    folder = try TemporaryFolder()
    try folder.write([], to: "relay", mode: 0o600)
    file = TokenFile(besideIdentity: folder.file("relay"))
  }

  private func relay(
    allowed: AccessRules.AllowedIdentities? = nil, limits: RelayLimits = RelayLimits()
  ) throws -> SimRelay {
    try SimRelay(
      network: network, host: .serverHost, limits: limits,
      access: RelayAccess(tokens: file, allowed: allowed, isOpen: false),
      wallClock: { [clock] in clock.time })
  }

  private func makeToken(
    scope: RelayScope = .everything, expiry: UInt64 = 0
  ) throws -> RelayToken {
    let token = RelayToken(relay: SimRelay.identity.publicKey)
    let record = TokenList.Record(
      token, scope: scope, label: "", created: clock.time, expiry: expiry)
    try file.update(patience: .zero) { list throws(AccessFileError) in
      try list.add(record, now: 0)
    }
    return token
  }

  private func change(_ body: (inout TokenList) -> Void) throws {
    try file.update(patience: .zero) { list throws(AccessFileError) in body(&list) }
  }

  private func node(
    _ number: UInt8, at relay: SimRelay, host: SocketAddress = .clientHost,
    showing token: RelayToken? = nil
  ) throws -> RelayNode {
    let node = try RelayNode(network: network, host: host, identity: .fixture(number))
    try node.connect(to: relay, capabilities: RelayMessage.forwards)
    if let token { node.say(.show(token)) }
    return node
  }

  private func settle(_ time: Duration = .seconds(1)) { loop.run(for: time) }

  @Test("who registers needs a token; who looks for a registered node needs none")
  func tokens() throws {
    let relay = try relay()
    let sharer = try node(1, at: relay, showing: try makeToken())
    sharer.say(RelayNode.offer(1), .register)
    settle()
    #expect(sharer.peer.error == nil)
    #expect(sharer.heard.contains { if case .access(.rights) = $0 { true } else { false } })
    let guest = try node(2, at: relay, host: .otherHost)
    guest.say(RelayNode.offer(2), .find(.init(peer: sharer.identity.publicKey, token: [1])))
    settle()
    sharer.say(.admit(introduction: try #require(sharer.knocks.first).introduction))
    settle()
    #expect(guest.plans.count == 1 && relay.core.report.forwarding.sessionsOpen == 1)
    guest.say(.register)
    settle()
    #expect(guest.peer.error?.applicationCode == RelayCode.tokenNeeded)
    #expect(relay.core.report.forwarding.sessionsOpen == 0)
  }

  @Test("tokens that are wrong, expired or revoked are refused, each with its own code")
  func refusals() throws {
    let relay = try relay()
    let wrong = RelayToken(relay: SimRelay.identity.publicKey)
    let expired = try makeToken(expiry: clock.time)
    let revoked = try makeToken()
    try change { $0.revoke(RelayTokenID(digest: revoked.digest)) }
    let codes = [
      (wrong, RelayCode.tokenWrong), (expired, RelayCode.tokenExpired),
      (revoked, RelayCode.tokenRevoked),
    ]
    for (number, (token, code)) in codes.enumerated() {
      let node = try node(UInt8(number), at: relay, showing: token)
      node.say(.register)
      settle()
      #expect(node.peer.error?.applicationCode == code)
    }
    #expect(relay.core.report.nodesOpen == 0 && relay.core.report.nodesRegistered == 0)
    #expect(relay.events.count { if case .nodeDismissed = $0 { true } else { false } } > 0)
  }

  @Test("guessing makes the source wait; a good token from there does not")
  func guessing() throws {
    let relay = try relay()
    var delays: [Duration] = []
    for _ in 0..<12 {
      let guess = RelayToken(relay: SimRelay.identity.publicKey)
      let node = try node(3, at: relay, showing: guess)
      let begin = loop.now
      _ = loop.run(for: .seconds(10)) { node.peer.error != nil }
      delays.append(loop.now - begin)
    }
    #expect(delays[0] < .milliseconds(200) && delays[11] >= .seconds(3))
    let good = try node(4, at: relay, showing: try makeToken())
    good.say(.register)
    settle()
    #expect(relay.core.report.nodesRegistered == 1)
  }

  @Test("beyond twenty wrong tokens of one address, tokens wait for their turn, and then hold")
  func turns() throws {
    let relay = try relay()
    let began = loop.now
    let guessers = try (0..<35).map {
      try node(
        UInt8($0 % 8), at: relay, showing: RelayToken(relay: SimRelay.identity.publicKey))
    }
    let good = try node(9, at: relay, showing: try makeToken())
    good.say(RelayNode.offer(9), .register)
    settle(.milliseconds(100))
    let earned = 5 * (loop.now - began).seconds
    #expect(Double(relay.core.report.tokensBad) <= 20 + earned)
    // The good one is behind those that wait.
    #expect((relay.core.report.throttles[.tokens] ?? 0) >= 5)
    #expect(relay.core.report.tokensGood == 0 && good.peer.error == nil)
    settle(.seconds(4))
    #expect(relay.core.report.tokensBad == guessers.count)
    #expect(relay.core.report.tokensGood == 1 && relay.core.report.nodesRegistered == 1)
  }

  @Test("whoever cannot even wait is told that the relay is full, and gives back what he held")
  func noTurn() throws {
    let relay = try relay()
    let nodes = try (0..<60).map {
      try node(
        UInt8($0 % 8), at: relay, showing: RelayToken(relay: SimRelay.identity.publicKey))
    }
    settle(.milliseconds(300))
    let full = nodes.count { $0.peer.error?.applicationCode == RelayCode.full }
    #expect(full >= 5 && full == Int(relay.core.report.refusals[.tokens] ?? 0))
    for node in nodes { node.peer.endpoint.close(code: 0, reason: "") }
    settle(.seconds(10))
    #expect(relay.core.report.nodesOpen == 0)
    let later = try node(9, at: relay, showing: try makeToken())
    later.say(.register)
    settle()
    #expect(relay.core.report.nodesRegistered == 1)
  }

  @Test("what a node says while its refusal waits is of no effect, and a second guess ends it")
  func waiting() throws {
    let relay = try relay()
    for _ in 0..<10 {
      let guess = RelayToken(relay: SimRelay.identity.publicKey)
      let node = try node(3, at: relay, showing: guess)
      _ = loop.run(for: .seconds(10)) { node.peer.error != nil }
    }
    let node = try node(3, at: relay, showing: RelayToken(relay: SimRelay.identity.publicKey))
    node.say(.register, .show(try makeToken()), .register)
    settle(.milliseconds(500))
    #expect(relay.core.report.nodesRegistered == 0 && node.peer.error == nil)
    // Whoever leaves meanwhile gives its place back.
    node.peer.endpoint.close(code: 0, reason: "")
    settle(.seconds(10))
    #expect(relay.core.report.nodesOpen == 0)
  }

  @Test("revoking, expiry and a file that is removed send holders away within five seconds")
  func leaving() throws {
    let relay = try relay()
    let revoked = try makeToken()
    let expiring = try makeToken(expiry: clock.time + 100)
    let kept = try makeToken()
    let nodes = try zip([1, 2, 3], [revoked, expiring, kept]).map {
      try node($0, at: relay, showing: $1)
    }
    for node in nodes { node.say(.register) }
    settle()
    #expect(relay.core.report.nodesRegistered == 3)
    try change { $0.revoke(RelayTokenID(digest: revoked.digest)) }
    settle(.seconds(4))
    #expect(nodes[0].peer.error?.applicationCode == RelayCode.tokenRevoked)
    #expect(nodes[1].peer.error == nil && nodes[2].peer.error == nil)
    // The system's clock jumps: what is dated by it follows, nothing else does.
    clock.time += 100_000
    settle(.seconds(4))
    #expect(nodes[1].peer.error?.applicationCode == RelayCode.tokenExpired)
    #expect(nodes[2].peer.error == nil)
    try change { $0 = TokenList() }
    settle(.seconds(4))
    #expect(nodes[2].peer.error?.applicationCode == RelayCode.tokenRevoked)
  }

  @Test("a list that cannot be understood lets nobody new in, and leaves who is in")
  func damaged() throws {
    let relay = try relay()
    let token = try makeToken()
    let inside = try node(1, at: relay, showing: token)
    inside.say(.register)
    settle()
    try folder.write(Array("nonsense".utf8), to: "relay.tokens", mode: 0o600)
    settle(.seconds(4))
    #expect(inside.peer.error == nil)
    let outside = try node(2, at: relay, showing: token)
    settle()
    #expect(outside.peer.error?.applicationCode == RelayCode.undecidable)
    let problems = relay.events.count { if case .accessFileUnusable = $0 { true } else { false } }
    #expect(problems == 1)
  }

  @Test("those on the list need no token; who is taken off it has to leave")
  func list() throws {
    let key = Identity.fixture(1).publicKey
    try folder.write(Array("\(key)\n".utf8), to: "friends", mode: 0o600)
    let allowed = AccessRules.AllowedIdentities(keys: [], files: [folder.file("friends")])
    let relay = try relay(allowed: allowed)
    let friend = try node(1, at: relay)
    friend.say(.register)
    let stranger = try node(2, at: relay)
    stranger.say(.register)
    settle()
    #expect(relay.core.report.nodesRegistered == 1)
    #expect(stranger.peer.error?.applicationCode == RelayCode.identityNotAllowed)
    try folder.write(Array("# nobody\n".utf8), to: "friends", mode: 0o600)
    settle(.seconds(4))
    #expect(friend.peer.error?.applicationCode == RelayCode.identityNotAllowed)
  }

  @Test("a token for ports alone does not let its holder register, and does not end its connection")
  func scope() throws {
    let scope = RelayScope(relays: false, ports: [80...80], names: [], bytesPerSecond: nil)
    let relay = try relay()
    let node = try node(1, at: relay, showing: try makeToken(scope: try #require(scope)))
    node.say(.register)
    settle()
    #expect(relay.core.report.nodesRegistered == 0 && node.peer.error == nil)
    #expect(
      node.heard.last
        == .access(.denied(type: 4, reason: RelayDenial.notInScope.rawValue)))
  }

  @Test("who neither shows a token nor looks for anybody is sent away; guests are bounded")
  func idlers() throws {
    var limits = RelayLimits()
    limits.guestsMax = 1
    let relay = try relay(limits: limits)
    let idler = try node(1, at: relay)
    let guest = try node(2, at: relay)
    let second = try node(3, at: relay)
    for node in [guest, second] {
      node.say(.find(.init(peer: Identity.fixture(9).publicKey, token: [1])))
      settle(.milliseconds(100))
    }
    settle(.seconds(13))
    #expect(idler.peer.error != nil && guest.peer.error == nil)
    #expect(second.heard.contains { if case .throttled = $0 { true } else { false } })
    #expect(relay.core.report.refusals[.idle] == 2)
    #expect(relay.core.report.throttles[.finds] == 1)
  }

  @Test("new rules take effect at once, and are refused whole if a file of theirs is missing")
  func reload() throws {
    let relay = try relay()
    let node = try node(1, at: relay, showing: try makeToken())
    node.say(.register)
    settle()
    let missing = AccessRules.AllowedIdentities(keys: [], files: [folder.file("none")])
    #expect(throws: AccessProblem.self) {
      try relay.core.apply(RelayAccess(tokens: nil, allowed: missing, isOpen: true))
    }
    #expect(!relay.core.gate.access.isOpen)
    let guest = try self.node(2, at: relay)
    try relay.core.apply(RelayAccess(tokens: file, allowed: nil, isOpen: true))
    guest.say(.register)
    settle()
    #expect(relay.core.report.nodesRegistered == 2)
    try relay.core.apply(RelayAccess(tokens: file, allowed: nil, isOpen: false))
    settle()
    #expect(guest.peer.error?.applicationCode == RelayCode.tokenNeeded && node.peer.error == nil)
  }

  @Test("all nodes see one clock, though the system's is set meanwhile")
  func clockJump() throws {
    let relay = try relay()
    let first = try node(1, at: relay)
    clock.time -= 5_000_000
    let second = try node(2, at: relay)
    let times = [first, second].compactMap { node -> UInt64? in
      guard case .welcome(let welcome)? = node.heard.first else { return nil }
      return welcome.time
    }
    #expect(times.count == 2 && times[1] - times[0] < 60)
  }

  @Test("a token's rate bounds all of its sessions, both ways")
  func rate() throws {
    let world = try ForwardWorld()
    let token = RelayTokenID(digest: [1, 2, 3, 4, 5])
    world.desk.close(world.session.number)
    let payer = ForwardingDesk.Payer(token: token, bytesPerSecond: 100_000)
    let session = try world.desk.open(
      between: ForwardWorld.party(1, world.one, world.relay),
      and: ForwardWorld.party(2, world.other, world.relay), payer: payer)
    world.one.take(ForwardWorld.grant(session, 0), relay: world.relay)
    world.other.take(ForwardWorld.grant(session, 1), relay: world.relay)
    for _ in 0..<1_000 {
      world.one.send([UInt8](repeating: 1, count: 1_000))
      world.other.send([UInt8](repeating: 2, count: 1_000))
      world.run(.milliseconds(1))
    }
    world.run()
    let bytes = world.desk.totals.bytes
    let burst = UInt64(ForwardingLimits().burst)
    #expect(bytes > burst && bytes < burst + 120_000)
    #expect(world.desk.totals.throttled(by: .token) > 1_000)
    #expect(Set(world.throttled.map(\.leg)) == [0, 1])
  }
}

extension RelayMessage {
  /// Shows a token.
  static func show(_ token: RelayToken) -> RelayMessage {
    .access(.token(secret: token.secret.withBytes { Array($0) }))
  }
}
