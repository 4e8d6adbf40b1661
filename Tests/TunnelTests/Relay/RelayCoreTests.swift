import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("A relay", .timeLimit(.minutes(1)))
struct RelayCoreTests {
  private let loop = SimLoop()
  private let network: SimNetwork
  private let relay: SimRelay
  private static let token: [UInt8] = [1, 2, 3]

  init() throws {
    network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    relay = try SimRelay(network: network, host: .serverHost)
  }

  private func node(_ number: UInt8, host: SocketAddress = .clientHost) throws -> RelayNode {
    let node = try RelayNode(network: network, host: host, identity: .fixture(number))
    try node.connect(to: relay)
    return node
  }

  private func settle() { loop.run(for: .seconds(1)) }

  @Test("a node is told where it is seen and which ports answer STUN")
  func welcome() throws {
    let node = try node(1)
    guard case .welcome(let welcome)? = node.heard.first else {
      Issue.record("no welcome")
      return
    }
    #expect(welcome.observed?.with(port: 0) == .clientHost)
    #expect(welcome.stunPorts == [3_478, 3_479])
    #expect(welcome.time >= 1_800_000_000 && welcome.lease == 45)
  }

  @Test("two nodes are introduced once the registered one agrees, both at once")
  func introduction() throws {
    let sharer = try node(1)
    let dialler = try node(2, host: .otherHost)
    sharer.say(RelayNode.offer(3), .register)
    settle()
    dialler.say(
      RelayNode.offer(8), .find(.init(peer: sharer.identity.publicKey, token: Self.token)))
    settle()
    let knock = try #require(sharer.knocks.first)
    #expect(knock.peer == dialler.identity.publicKey && knock.token == Self.token)
    // Nothing about the sharer before it has agreed: not even that it is there.
    #expect(dialler.heard.count == 1 && sharer.plans.isEmpty)
    sharer.say(.admit(introduction: knock.introduction))
    settle()
    let ours = try #require(dialler.plans.first)
    let theirs = try #require(sharer.plans.first)
    #expect(ours.peer == sharer.identity.publicKey && theirs.peer == dialler.identity.publicKey)
    #expect(ours.salt == theirs.salt && ours.salt.count == 16)
    #expect(ours.plan.round == 1 && theirs.plan.round == 1)
    #expect(ours.plan.offer == 8 && theirs.plan.offer == 3)
    #expect(ours.plan.mode == .primed)
    #expect(theirs.plan.observedPeer?.with(port: 0) == .otherHost)
    #expect(relay.core.totals.introductions == 1)
  }

  @Test("an offer that changes makes a new round for both; the same offer does not")
  func news() throws {
    let (sharer, dialler, number) = try introduced()
    sharer.say(RelayNode.offer(3))
    settle()
    #expect(dialler.plans.count == 1 && sharer.plans.count == 1)
    sharer.say(RelayNode.offer(4, .otherHost.with(port: 9)))
    settle()
    #expect(dialler.plans.count == 2 && sharer.plans.count == 2)
    #expect(dialler.plans.last?.plan.round == 2)
    #expect(dialler.plans.last?.plan.candidates.first?.address.port == 9)
    #expect(sharer.plans.last?.plan.offer == 4)
    dialler.say(.again(introduction: number))
    settle()
    #expect(dialler.plans.count == 3 && sharer.plans.count == 3)
  }

  @Test("who looks for somebody that is not there is told, and introduced when he comes")
  func early() throws {
    let dialler = try node(2, host: .otherHost)
    let wanted = Identity.fixture(1).publicKey
    dialler.say(RelayNode.offer(8), .find(.init(peer: wanted, token: Self.token)))
    settle()
    #expect(dialler.heard.last == .absent(peer: wanted))
    let sharer = try node(1)
    sharer.say(RelayNode.offer(3), .register)
    settle()
    #expect(sharer.knocks.count == 1)
  }

  @Test("when one side leaves, the other is told")
  func leaving() throws {
    let (sharer, dialler, number) = try introduced()
    dialler.peer.endpoint.close(code: RelayCode.done, reason: "")
    settle()
    #expect(sharer.heard.last == .gone(introduction: number))
  }

  @Test("all processes of an identity are asked; the first that agrees is introduced")
  func processes() throws {
    let first = try node(1)
    let second = try node(1, host: .otherHost)
    first.say(RelayNode.offer(1), .register)
    second.say(RelayNode.offer(2), .register)
    settle()
    let dialler = try node(2)
    dialler.say(
      RelayNode.offer(8), .find(.init(peer: first.identity.publicKey, token: Self.token)))
    settle()
    let asked = try #require(first.knocks.first)
    second.say(.admit(introduction: try #require(second.knocks.first).introduction))
    settle()
    #expect(dialler.plans.count == 1 && second.plans.count == 1 && first.plans.isEmpty)
    #expect(first.heard.last == .gone(introduction: asked.introduction))
    // Too late to agree now.
    first.say(.admit(introduction: asked.introduction))
    settle()
    #expect(dialler.plans.count == 1 && first.peer.error == nil)
  }

  @Test("the ninth process of an identity pushes out the oldest, which is told")
  func collision() throws {
    var nodes: [RelayNode] = []
    for _ in 0..<9 {
      let node = try node(1)
      node.say(.register)
      settle()
      nodes.append(node)
    }
    #expect(nodes[0].peer.error?.applicationCode == RelayCode.replaced)
    #expect(nodes.dropFirst().allSatisfy { $0.peer.error == nil })
    #expect(relay.core.report.nodesOpen == 8)
  }

  @Test("only the registered side can agree, and only to what it was asked")
  func forgedConsent() throws {
    let (_, dialler, number) = try introduced(agrees: false)
    dialler.say(
      .admit(introduction: number), .admit(introduction: 99), .again(introduction: number))
    let stranger = try node(3, host: .clientHost)
    stranger.say(
      .admit(introduction: number), .done(introduction: number), .again(introduction: number))
    settle()
    #expect(dialler.plans.isEmpty && stranger.heard.count == 1)
    #expect(stranger.peer.error == nil)
  }

  @Test("addresses that are no host's are not passed on")
  func hostileOffer() throws {
    let sharer = try node(1)
    let dialler = try node(2, host: .otherHost)
    sharer.say(RelayNode.offer(3), .register)
    let bad = [
      SocketAddress(ipv4: 0xe000_0001, port: 9), SocketAddress(ipv4: 0xffff_ffff, port: 9),
      SocketAddress.otherHost, SocketAddress.any.with(port: 9),
      SocketAddress(high: 0xff02 << 48, low: 1, port: 9),
    ]
    let good = SocketAddress.otherHost.with(port: 77)
    dialler.say(
      .offer(
        NodeOffer(
          number: 1, report: NATReport(),
          candidates: (bad + [good]).map { Candidate(address: $0, kind: .reflexive) })),
      .find(.init(peer: sharer.identity.publicKey, token: Self.token)))
    settle()
    sharer.say(.admit(introduction: try #require(sharer.knocks.first).introduction))
    settle()
    #expect(try #require(sharer.plans.first).plan.candidates.map(\.address) == [good])
  }

  @Test("too many candidates, or what is no message, end the connection")
  func malformed() throws {
    var body = WireWriter()
    body.varint(1)
    body.report(NATReport())
    body.varint(33)
    var message = WireWriter()
    message.varint(3)
    message.prefixed(body.bytes)
    let node = try node(1)
    try node.peer.streams.first?.stream.write(message.bytes)
    settle()
    #expect(node.peer.error?.applicationCode == RelayCode.protocolViolation)
  }

  @Test("a node that looks for too many, or too fast, is throttled; one that floods is cut off")
  func throttling() throws {
    let node = try node(1)
    for number in 0..<20 {
      let key = PublicKey([UInt8](repeating: UInt8(number), count: 32))
      node.say(.find(.init(peer: try #require(key), token: Self.token)))
    }
    settle()
    let absent = node.heard.count { if case .absent = $0 { true } else { false } }
    let throttled = node.heard.count { if case .throttled = $0 { true } else { false } }
    #expect(absent == RelayLimits().findsPerNodeMax && throttled == 4)
    for _ in 0..<300 { node.say(.register) }
    settle()
    #expect(node.peer.error?.applicationCode == RelayCode.tooMuch)
  }

  @Test("one address holds so many nodes and no more")
  func perAddress() throws {
    var limits = RelayLimits()
    limits.nodesPerAddressMax = 3
    let network = SimNetwork(loop: loop, seed: 2, defaults: LinkSettings())
    let relay = try SimRelay(network: network, host: .serverHost, limits: limits)
    var nodes: [RelayNode] = []
    for number in 1...4 {
      let node = try RelayNode(
        network: network, host: .clientHost, identity: .fixture(UInt8(number)))
      try node.connect(to: relay)
      nodes.append(node)
    }
    settle()
    #expect(nodes[3].peer.error?.applicationCode == RelayCode.full)
    nodes[0].peer.endpoint.close(code: RelayCode.done, reason: "")
    settle()
    let later = try RelayNode(network: network, host: .clientHost, identity: .fixture(5))
    try later.connect(to: relay)
    #expect(later.heard.count == 1)
  }

  @Test("forged datagrams get no answer and change nothing")
  func forged() throws {
    let (sharer, dialler, _) = try introduced()
    var random = SplitMix64(seed: 7)
    var answers = 0
    network.onSend = { [relay] datagram in
      let isForAttacker =
        datagram.to.with(port: 0) == .otherHost && (1_024..<11_024).contains(datagram.to.port)
      if datagram.from == relay.socket.publicAddress, isForAttacker { answers += 1 }
    }
    for index in 0..<10_000 {
      var bytes = (0..<Int(20 + random.below(60))).map { _ in UInt8(random.below(256)) }
      // Path messages, probes, relayed data and everything else below 0x40 that is not STUN.
      bytes[0] = [0x2a, 0x2b, 0x05, 0x3f][index % 4]
      network.inject(
        bytes, from: .otherHost.with(port: UInt16(1_024 + index)), to: relay.socket.localAddress)
    }
    loop.run(for: .milliseconds(500))
    #expect(answers == 0)
    #expect(sharer.peer.error == nil && dialler.peer.error == nil)
  }

  @Test("those whom a sharer ignores keep no place of others")
  func ignored() throws {
    var limits = RelayLimits()
    limits.introductionsPerNodeMax = 2
    let network = SimNetwork(loop: loop, seed: 2, defaults: LinkSettings())
    let relay = try SimRelay(network: network, host: .serverHost, limits: limits)
    let nodes = try (1...5).map { number in
      let node = try RelayNode(
        network: network, host: SocketAddress(ipv4: 0xcb00_7100 + UInt32(number), port: 0),
        identity: .fixture(UInt8(number)))
      try node.connect(to: relay)
      return node
    }
    let sharer = nodes[0]
    sharer.say(RelayNode.offer(3), .register)
    settle()
    let find = RelayMessage.find(.init(peer: sharer.identity.publicKey, token: Self.token))
    for node in nodes[1...2] { node.say(find) }
    settle()
    nodes[3].say(find)
    settle()
    // An answer may still come.
    #expect(sharer.knocks.count == 2)
    loop.run(for: .seconds(10))
    sharer.say(.admit(introduction: sharer.knocks[1].introduction))
    settle()
    nodes[3].say(find)
    settle()
    #expect(sharer.knocks.last?.peer == nodes[3].identity.publicKey)
    #expect(sharer.heard.contains(.gone(introduction: sharer.knocks[0].introduction)))
    // Who was let in, and who has just asked, keep theirs.
    nodes[4].say(find)
    settle()
    #expect(sharer.knocks.count == 3)
    #expect(nodes.allSatisfy { $0.peer.error == nil })
  }

  @Test("strangers' questions do not cut a sharer off that hears nothing for a while")
  func flooded() throws {
    let sharer = try node(1)
    sharer.say(RelayNode.offer(3), .register)
    settle()
    sharer.peer.streams.first?.reads = false
    let strangers = try (2...5).map {
      try node(UInt8($0), host: SocketAddress(ipv4: 0xcb00_7100 + UInt32($0), port: 0))
    }
    let token = [UInt8](repeating: 7, count: RelayMessage.tokenMax)
    for _ in 0..<120 {
      for stranger in strangers {
        stranger.say(.find(.init(peer: sharer.identity.publicKey, token: token)))
      }
      loop.run(for: .milliseconds(100))
    }
    #expect(sharer.peer.error == nil)
    let throttled = strangers[0].heard.count { if case .throttled = $0 { true } else { false } }
    #expect(throttled > 10)
  }

  @Test("a node that asks and takes no answers is cut off")
  func deaf() throws {
    let node = try node(1)
    node.peer.streams.first?.reads = false
    let find = RelayMessage.find(.init(peer: Identity.fixture(200).publicKey, token: Self.token))
    var seconds = 0
    while node.peer.error == nil, seconds < 3_600 {
      for _ in 0..<10 {
        node.say(find)
        loop.run(for: .milliseconds(100))
      }
      seconds += 1
    }
    #expect(node.peer.error?.applicationCode == RelayCode.protocolViolation)
  }

  private func introduced(
    agrees: Bool = true
  ) throws -> (sharer: RelayNode, dialler: RelayNode, introduction: UInt64) {
    let sharer = try node(1)
    let dialler = try node(2, host: .otherHost)
    sharer.say(RelayNode.offer(3), .register)
    dialler.say(
      RelayNode.offer(8), .find(.init(peer: sharer.identity.publicKey, token: Self.token)))
    settle()
    let number = try #require(sharer.knocks.first).introduction
    if agrees {
      sharer.say(.admit(introduction: number))
      settle()
    }
    return (sharer, dialler, number)
  }
}
