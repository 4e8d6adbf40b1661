import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Connections that come in at the sharing side, for the dialling side.
@Suite("Reverse flow")
struct ReverseFlowTests {
  private static let far = SocketAddress.loopbackIPv4.with(port: 8_080)
  private static let near = SimTargets.web

  private static func wish(_ address: SocketAddress = far) -> RemoteListener {
    RemoteListener(address: address, target: .tcp([near]))
  }

  private func world(
    rules: String? = "*", wishes: [RemoteListener] = [wish()],
    _ configure: (inout TunnelWorld.Options) -> Void = { _ in }
  ) throws -> TunnelWorld {
    try TunnelWorld {
      $0.listenRules = rules
      $0.remoteListeners = wishes
      configure(&$0)
    }
  }

  // MARK: Bytes

  @Test("bytes, ends and counts agree at both sides", arguments: Seeds.all)
  func transfer(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let world = try world { $0.seed = seed }
    let question = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    let answer = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    world.linkTargets.onAccept = { $0.send(answer, finishing: true) }
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let program = try #require(world.listeners.connect(to: Self.far))
    program.send(question, finishing: true)
    world.wait { world.linkJournal.reports.count == 1 && world.shareJournal.reports.count == 1 }
    world.wait { program.sawEnd && world.linkTargets.programs.first?.sawEnd == true }
    #expect(Payload.difference(program.received, answer) == nil)
    #expect(Payload.difference(world.linkTargets.programs.first?.received, question) == nil)
    let far = try #require(world.shareJournal.reports.first)
    let near = try #require(world.linkJournal.reports.first)
    #expect(near.ending == .finished && far.ending == .finished && near.number == far.number)
    #expect(far.bytesSent == UInt64(question.count) && near.bytesReceived == far.bytesSent)
    #expect(near.bytesSent == UInt64(answer.count) && far.bytesReceived == near.bytesSent)
    for totals in [world.share.statistics, world.link.statistics] {
      #expect(totals.flows == 1 && totals.flowsOpen == 0 && totals.flowsFailed == 0)
    }
  }

  @Test("flows of both directions share a session and its numbers do not collide")
  func bothWays() throws {
    let world = try world()
    world.targets.onAccept = { $0.echoes = true }
    world.linkTargets.onAccept = { $0.echoes = true }
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let forward = (0..<5).map { _ in world.connect() }
    let reverse = try (0..<5).map { _ in try #require(world.listeners.connect(to: Self.far)) }
    for (index, program) in (forward + reverse).enumerated() { program.send([UInt8(index)]) }
    world.wait { (forward + reverse).allSatisfy { $0.received.count == 1 } }
    #expect((forward + reverse).map(\.received) == (0..<10).map { [UInt8($0)] })
    #expect(world.link.statistics.flowsOpen == 10 && world.share.statistics.flowsOpen == 10)
    #expect(world.targets.programs.count == 5 && world.linkTargets.programs.count == 5)
  }

  @Test("a target that refuses is a reset for the program at the far end")
  func refusedTarget() throws {
    let world = try world()
    world.linkTargets.behaviours[Self.near] = .refuses(ECONNREFUSED)
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let program = try #require(world.listeners.connect(to: Self.far))
    world.wait { program.isOver && world.linkJournal.reports.count == 1 }
    #expect(program.failure == ECONNRESET)
    #expect(world.linkJournal.reports.map(\.ending) == [.targetRefused(ECONNREFUSED)])
    #expect(world.shareJournal.reports.map(\.ending) == [.targetRefused(nil)])
  }

  @Test("a target that asks for it is told which program connected, and where")
  func proxyProtocol() throws {
    var wish = Self.wish()
    wish.proxyProtocol = .v1
    let world = try world(wishes: [wish])
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    _ = try #require(world.listeners.connect(to: Self.far))
    world.wait { world.linkTargets.programs.first?.received.isEmpty == false }
    let line = String(decoding: world.linkTargets.programs[0].received, as: UTF8.self)
    #expect(line == "PROXY TCP4 127.0.0.1 127.0.0.1 50505 8080\r\n")
  }

  // MARK: Who may

  @Test("only what the rules name is listened at", arguments: [nil, "8081", "0.0.0.0:8080"])
  func rules(rules: String?) throws {
    let world = try world(rules: rules)
    var outcome: TunnelError??
    try world.open()
    world.link.remoteListeners?.whenSettled { outcome = $0 }
    world.wait { outcome != nil }
    guard case .remoteListenRefused(Self.far, .notAllowed)?? = outcome else {
      Issue.record("\(String(describing: outcome))")
      return
    }
    #expect(world.listeners.addresses.isEmpty)
    #expect(world.link.openSession != nil)
  }

  @Test("a ticket for some services is for nothing else; one with an end only is")
  func grants() throws {
    for services in [["web"], []] {
      let grant = try #require(
        Grant(
          id: GrantID(number: 1), expiry: TunnelWorld.startTime + 100, uses: 0, services: services))
      let admission = Gate.Admission(peer: nil, grant: grant)
      #expect(admission.allowsListening == services.isEmpty)
    }
    #expect(Gate.Admission(peer: nil, grant: nil).allowsListening)
  }

  @Test("a peer that asks without the right is told no, and its session goes on")
  func askingAnyway() throws {
    let scene = try ShareScene(rules: nil)
    let capabilities = try #require(scene.welcome?.capabilities)
    #expect(capabilities & ControlMessage.Capability.reverseListening == 0)
    scene.say(.listen(.init(number: 0, kind: .tcp, address: Self.far)))
    scene.world.wait { scene.answers.count == 1 }
    #expect(scene.answers == [.init(number: 0, status: .notAllowed, address: Self.far)])
    #expect(scene.client.error == nil && scene.world.shareJournal.listenRefusals == 1)
  }

  @Test("each wish has its answer: a free port, one in use, one unusable, an unknown kind")
  func answers() throws {
    let scene = try ShareScene(rules: "*")
    let busy = Self.far.with(port: 1)
    scene.world.listeners.unusable = [busy: EADDRINUSE, Self.far.with(port: 2): EACCES]
    let free = Self.far.with(port: 0)
    for (number, address) in [free, busy, Self.far.with(port: 2)].enumerated() {
      scene.say(.listen(.init(number: UInt64(number), kind: .tcp, address: address)))
    }
    scene.say(.listen(.init(number: 3, kind: .unknown(9), address: Self.far)))
    scene.world.wait { scene.answers.count == 4 }
    #expect(
      scene.answers.map(\.status) == [.listening, .addressInUse, .addressUnusable, .unknownKind])
    #expect(scene.answers[0].address == Self.far.with(port: 40_000))
  }

  @Test("a session has 64 listeners at most, and UNLISTEN makes room")
  func limit() throws {
    let scene = try ShareScene(rules: "*")
    for number in 0...64 {
      let address = Self.far.with(port: UInt16(1_000 + number))
      scene.say(.listen(.init(number: UInt64(number), kind: .tcp, address: address)))
    }
    scene.world.wait { scene.answers.count == 65 }
    #expect(scene.answers.filter { $0.status == .listening }.count == 64)
    #expect(scene.answers.last?.status == .tooMany)
    scene.say(.unlisten(0))
    scene.say(.unlisten(500))
    scene.say(.listen(.init(number: 64, kind: .tcp, address: Self.far)))
    scene.world.wait { scene.answers.count == 66 }
    #expect(scene.answers.last?.status == .listening)
    #expect(scene.world.listeners.addresses.count == 64)
    #expect(!scene.world.listeners.addresses.contains(Self.far.with(port: 1_000)))
  }

  @Test("a number that is taken, and an answer from a dialler, break the rules")
  func violations() throws {
    let listen = ControlMessage.listen(.init(number: 0, kind: .tcp, address: Self.far))
    let listening = ControlMessage.listening(
      .init(number: 0, status: .listening, address: Self.far))
    for messages in [[listen, listen], [listening]] {
      let scene = try ShareScene(rules: "*")
      for message in messages { scene.say(message) }
      scene.world.wait { scene.client.error != nil }
      #expect(scene.client.error?.applicationCode == TunnelCode.protocolViolation)
      #expect(scene.world.listeners.addresses.isEmpty)
    }
  }

  // MARK: Ends

  @Test("the address is given back with the session, and its flows are reset")
  func sessionEnd() throws {
    let world = try world()
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let program = try #require(world.listeners.connect(to: Self.far))
    program.send([1])
    world.wait { world.linkTargets.programs.first?.received == [1] }
    world.link.close()
    world.wait { program.isOver && world.listeners.addresses.isEmpty }
    #expect(program.failure == ECONNRESET)
    #expect(world.linkTargets.programs[0].failure == ECONNRESET)
    #expect(world.shareJournal.reports.map(\.ending) == [.sessionLost])
    #expect(world.share.statistics.flowsOpen == 0)
  }

  @Test(
    "a drain takes no new connections and waits for those that are open", arguments: [true, false])
  func drain(byShare: Bool) throws {
    let world = try world()
    world.linkTargets.onAccept = { $0.finishesAtEnd = true }
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let program = try #require(world.listeners.connect(to: Self.far))
    program.send([1])
    world.wait { world.linkTargets.programs.first?.received == [1] }
    var isDrained = false
    if byShare {
      world.share.drain { isDrained = true }
    } else {
      world.link.drain { isDrained = true }
    }
    world.wait { world.listeners.addresses.isEmpty }
    world.loop.run(for: .seconds(5))
    #expect(!isDrained)
    let answer = Payload.bytes(100_000, seed: 4)
    world.linkTargets.programs[0].send(answer)
    program.send([2], finishing: true)
    world.wait { isDrained && program.sawEnd }
    #expect(Payload.difference(program.received, answer) == nil)
    #expect(world.linkTargets.programs[0].received == [1, 2])
    #expect(byShare ? world.share.isConfirmed : world.link.isConfirmed)
  }

  @Test("an address that is not wanted any more is given back, and open flows go on")
  func remove() throws {
    let world = try world()
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let program = try #require(world.listeners.connect(to: Self.far))
    program.send([1])
    world.wait { world.linkTargets.programs.first?.received == [1] }
    world.link.remoteListeners?.remove(Self.far)
    world.wait { world.listeners.addresses.isEmpty }
    #expect(world.link.remoteListeners?.addresses == [])
    program.send([2])
    world.wait { world.linkTargets.programs[0].received == [1, 2] }
  }

  @Test("beyond the streams that the dialler allows, connections are reset, and others go on")
  func streamLimit() throws {
    let world = try world { $0.linkSettings.transport.bidirectionalStreamsMax = 3 }
    world.linkTargets.onAccept = {
      $0.echoes = true
      $0.finishesAtEnd = true
    }
    try world.open()
    world.wait { world.linkJournal.listening == [Self.far] }
    let programs = try (0..<5).map { _ in try #require(world.listeners.connect(to: Self.far)) }
    world.wait { programs[3].isOver && programs[4].isOver }
    #expect(programs[3].failure == ECONNRESET && world.shareJournal.limits == 2)
    for program in programs[..<3] { program.send([7], finishing: true) }
    world.wait { programs[..<3].allSatisfy(\.sawEnd) }
    #expect(programs[..<3].allSatisfy { $0.received == [7] })
    // There is room again.
    world.loop.run(for: .seconds(1))
    let later = try #require(world.listeners.connect(to: Self.far))
    later.send([8], finishing: true)
    world.wait { later.sawEnd }
    #expect(later.received == [8])
  }

  // MARK: Scenes

  /// A share, and a client of our own making that was let in.
  private struct ShareScene {
    let world: TunnelWorld
    let client: RawPeer

    init(rules: String?) throws {
      world = try TunnelWorld { $0.listenRules = rules }
      client = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
        acceptsConnections: false)
      client.onReady = { $0.greet() }
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      world.wait { [client] in client.streams.first?.messages.isEmpty == false }
    }

    var welcome: ControlMessage.Welcome? {
      if case .welcome(let welcome)? = client.streams.first?.messages.first { welcome } else { nil }
    }

    var answers: [ControlMessage.Listening] {
      client.streams[0].messages.compactMap {
        if case .listening(let answer) = $0 { answer } else { nil }
      }
    }

    func say(_ message: ControlMessage) {
      try? client.streams[0].stream.write(message.encoded)
    }
  }
}
