import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// What the sharing side makes of clients that do not keep to the protocol, and the dialing side of
/// servers that do not.
@Suite("Session")
struct SessionCoreTests {
  // MARK: Sharing side

  @Test("a stranger without the capability is refused, and hears nothing before")
  func wrongCapability() throws {
    let scene = try ShareScene { client in
      _ = try? client.open(sending: client.hello(capability: SecretBytes([UInt8](1...16))))
    }
    scene.waitUntilClosed()
    scene.expectRefused(code: TunnelCode.notAuthorized)
    #expect(scene.client.streams.allSatisfy { $0.bytes.isEmpty })
  }

  @Test("a hello without proof is refused")
  func noProof() throws {
    let scene = try ShareScene { client in
      let hello = ControlMessage.Hello(version: 1, capabilities: 0, proof: [])
      _ = try? client.open(sending: ControlMessage.hello(hello).encoded)
    }
    scene.waitUntilClosed()
    scene.expectRefused(code: TunnelCode.notAuthorized)
  }

  @Test("a version below ours is refused by its own code, before the proof is looked at")
  func lowVersion() throws {
    let scene = try ShareScene { client in
      let hello = client.hello(capability: TunnelWorld.capability, version: 0)
      _ = try? client.open(sending: hello)
    }
    scene.waitUntilClosed()
    scene.expectRefused(code: TunnelCode.versionUnsupported)
  }

  @Test("a later version is welcome, and is told ours")
  func highVersion() throws {
    let scene = try ShareScene { client in
      let hello = client.hello(capability: TunnelWorld.capability, version: 9)
      _ = try? client.open(sending: hello)
    }
    scene.world.wait { scene.client.streams.first?.messages.isEmpty == false }
    let service = ControlMessage.Service(name: "", port: 3_000)
    let capabilities = ControlMessage.Capability.self
    let welcome = ControlMessage.Welcome(
      version: 1, capabilities: capabilities.datagramFlows | capabilities.namedDatagrams,
      services: [service])
    #expect(scene.client.streams.first?.messages == [.welcome(welcome)])
  }

  @Test("a client that says nothing is sent away after five seconds")
  func helloTimeout() throws {
    let scene = try ShareScene { _ in }
    scene.world.wait { scene.client.isReady }
    scene.world.loop.run(for: .milliseconds(4_900))
    #expect(scene.client.error == nil)
    scene.world.wait(.milliseconds(300)) { scene.client.error != nil }
    scene.expectRefused(code: TunnelCode.helloTimeout)
  }

  @Test("half a hello does not stop the clock")
  func slowHello() throws {
    let scene = try ShareScene { client in
      let hello = client.hello(capability: TunnelWorld.capability)
      _ = try? client.open(sending: Array(hello.dropLast()))
    }
    scene.waitUntilClosed()
    scene.expectRefused(code: TunnelCode.helloTimeout)
  }

  @Test("an open session is not hurt by the greeting's clock")
  func timerDisarmed() throws {
    let scene = try ShareScene { $0.greet() }
    scene.world.loop.run(for: .seconds(12))
    #expect(scene.world.shareJournal.opened == 1)
    #expect(scene.client.error == nil)
  }

  @Test(
    "a client that breaks the rules is closed as one",
    arguments: Violation.allCases)
  func violations(violation: Violation) throws {
    let scene = try ShareScene { client in
      try? violation.commit(client)
    }
    scene.waitUntilClosed()
    #expect(scene.client.error?.applicationCode == TunnelCode.protocolViolation)
    // An open session ends, one that never was is refused.
    let errors = scene.world.shareJournal.refusals + scene.world.shareJournal.ends
    #expect(errors.map(\.applicationCode) == [TunnelCode.protocolViolation])
    #expect(scene.world.share.statistics.sessionsOpen == 0)
    #expect(scene.world.targets.attempts.isEmpty)
  }

  enum Violation: CaseIterable {
    case garbageFirst
    case garbageLater
    case oversizeMessage
    case welcomeFromClient
    case goodbyeBeforeHello
    case finishedBeforeHello
    case secondHello
    case flowBeforeHello
    case unidirectionalStream
    case unidirectionalStreamLater
    case controlStreamFinished
    case controlStreamReset
    case controlStreamStopped

    func commit(_ client: RawPeer) throws {
      let hello = client.hello(capability: TunnelWorld.capability)
      let flow = FlowHeader(kind: .tcp, service: "").encoded
      let welcome = ControlMessage.Welcome(version: 1, capabilities: 0, services: [])
      switch self {
      case .garbageFirst: try client.open(sending: [1, 2, 0xff, 0xff])
      case .garbageLater: try client.open(sending: hello + [3, 1, 5])
      case .oversizeMessage: try client.open(sending: hello + [0x20, 0x80, 1, 0, 0])
      case .welcomeFromClient:
        try client.open(sending: ControlMessage.welcome(welcome).encoded)
      case .goodbyeBeforeHello:
        try client.open(sending: ControlMessage.goodbye(.init(reason: "")).encoded)
      case .finishedBeforeHello: try client.open(sending: ControlMessage.finished.encoded)
      case .secondHello: try client.open(sending: hello + hello)
      case .flowBeforeHello:
        try client.open(sending: Array(hello.prefix(3)))
        try client.open(sending: flow)
      case .unidirectionalStream: try client.open(unidirectional: true, sending: [1])
      case .unidirectionalStreamLater:
        try client.open(sending: hello)
        try client.open(unidirectional: true, sending: [1])
      case .controlStreamFinished: try client.open(sending: hello).stream.finish()
      case .controlStreamReset:
        try client.open(sending: hello).stream.reset(code: TunnelCode.done)
      case .controlStreamStopped:
        let stream = try client.open(sending: hello).stream
        client.onWelcome = { stream.stopReceiving(code: TunnelCode.done) }
      }
    }
  }

  @Test("messages of later versions are skipped, before and after the greeting")
  func unknownMessages() throws {
    let unknown: [UInt8] = [0x21, 3, 1, 2, 3]
    let scene = try ShareScene { client in
      let hello = client.hello(capability: TunnelWorld.capability)
      let goodbye = ControlMessage.goodbye(ControlMessage.Goodbye(reason: "bye"))
      _ = try? client.open(sending: unknown + hello + unknown + goodbye.encoded)
    }
    scene.world.wait { scene.world.shareJournal.goodbyes == ["bye"] }
    #expect(scene.world.shareJournal.opened == 1)
    #expect(scene.client.error == nil)
  }

  @Test("datagrams before the hello are taken and dropped")
  func earlyDatagrams() throws {
    let scene = try ShareScene { try? $0.connection?.sendDatagram([0, 0, 0, 1]) }
    scene.world.loop.run(for: .seconds(1))
    #expect(scene.client.error == nil)
    #expect(scene.world.share.statistics.datagramFlows == 0)
  }

  @Test("random bytes on the control stream never crash the share", arguments: Seeds.all)
  func noise(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let scene = try ShareScene { client in
      let isGreeted = random.chance(0.5)
      let hello = isGreeted ? client.hello(capability: TunnelWorld.capability) : []
      let noise = Payload.bytes(20_000, seed: random.next())
      _ = try? client.open(sending: hello + noise)
    }
    // The noise ends the session, or is a message of a later version that never becomes whole.
    scene.world.loop.run(for: .seconds(6))
    let totals = scene.world.share.statistics
    #expect(totals.sessionsOpen == 0 || scene.client.error == nil)
  }

  // MARK: Dialing side

  @Test("the dialer speaks first: a hello with a good proof on the first stream")
  func dialerGreets() throws {
    let scene = try LinkScene()
    scene.world.wait { scene.server.streams.first?.messages.isEmpty == false }
    let control = try #require(scene.server.streams.first)
    #expect(control.stream.id.number == 0)
    let message = try #require(control.messages.first)
    guard case .hello(let hello) = message else {
      Issue.record("not a hello: \(message)")
      return
    }
    let capabilities = ControlMessage.Capability.self
    #expect(hello.version == 1)
    #expect(
      hello.capabilities == capabilities.datagramFlows | capabilities.reverseListening
        | capabilities.namedDatagrams)
    let connection = try #require(scene.server.connection)
    #expect(
      CapabilityProof.isValid(
        hello.proof, capability: TunnelWorld.capability, connection: connection))
    #expect(scene.world.openedCount == 0)
  }

  @Test("a server that never answers is left after five seconds")
  func welcomeTimeout() throws {
    let scene = try LinkScene()
    scene.world.wait(.seconds(6)) { scene.server.error != nil }
    #expect(scene.server.error?.applicationCode == TunnelCode.helloTimeout)
    #expect(scene.world.openedCount == 0)
    #expect(scene.world.errors.count == 1)
  }

  @Test(
    "a server that breaks the rules is left",
    arguments: [[2, 1, 0xff], [1, 1, 0], [3, 1, 0], [0x20, 0x80, 1, 0, 0]] as [[UInt8]])
  func badAnswers(answer: [UInt8]) throws {
    let scene = try LinkScene { recorder in
      try? recorder.stream.write(answer)
    }
    scene.world.wait { scene.server.error != nil && !scene.world.errors.isEmpty }
    #expect(scene.server.error?.applicationCode == TunnelCode.protocolViolation)
    #expect(scene.world.openedCount == 0)
  }

  @Test("a server that opens a stream is left", arguments: [true, false])
  func serverOpensStream(unidirectional: Bool) throws {
    let scene = try LinkScene()
    scene.world.wait { scene.server.isReady }
    try scene.server.open(unidirectional: unidirectional, sending: [1])
    scene.world.wait { scene.server.error != nil }
    #expect(scene.server.error?.applicationCode == TunnelCode.protocolViolation)
  }

  @Test("a message of a later version before the welcome is skipped")
  func unknownBeforeWelcome() throws {
    let scene = try LinkScene { recorder in
      let service = ControlMessage.Service(name: "", port: 1)
      let welcome = ControlMessage.Welcome(version: 3, capabilities: 7, services: [service])
      try? recorder.stream.write([0x21, 1, 0] + ControlMessage.welcome(welcome).encoded)
    }
    scene.world.wait { scene.world.openedCount == 1 }
    #expect(scene.world.errors.isEmpty)
  }

  // MARK: Scenes

  /// A share, and a client of our own making.
  private struct ShareScene {
    let world: TunnelWorld
    let client: RawPeer

    init(onReady: @escaping (RawPeer) -> Void) throws {
      world = try TunnelWorld()
      client = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
        acceptsConnections: false)
      client.onReady = onReady
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    }

    func waitUntilClosed(sourceLocation: SourceLocation = #_sourceLocation) {
      world.wait(
        .seconds(20),
        until: {
          client.error != nil
            && !(world.shareJournal.refusals.isEmpty && world.shareJournal.ends.isEmpty)
        }, sourceLocation: sourceLocation)
    }

    /// The client was told this code, and the share's owner that nobody was let in.
    func expectRefused(code: UInt64, sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(client.error?.applicationCode == code, sourceLocation: sourceLocation)
      #expect(client.error?.isRemote == true, sourceLocation: sourceLocation)
      #expect(
        world.shareJournal.refusals.map(\.applicationCode) == [code],
        sourceLocation: sourceLocation)
      #expect(world.shareJournal.opened == 0, sourceLocation: sourceLocation)
      #expect(world.share.statistics.sessions == 0, sourceLocation: sourceLocation)
    }
  }

  /// A link, and a server of our own making at another address.
  private struct LinkScene {
    let world: TunnelWorld
    let server: RawPeer

    init(onOpened: @escaping (RawPeer.Recorder) -> Void = { _ in }) throws {
      let address = SocketAddress.otherHost.with(port: 4_433)
      world = try TunnelWorld { $0.addresses = [address] }
      server = try RawPeer(
        loop: world.loop, socket: world.network.bind(address),
        identity: TunnelWorld.shareIdentity, acceptsConnections: true)
      server.onOpened = onOpened
      world.link.start()
    }
  }
}

extension RawPeer {
  /// Sends the right hello on the control stream.
  func greet() {
    _ = try? open(sending: hello(capability: TunnelWorld.capability))
  }
}

extension QuicError {
  /// The application code that the connection was closed with, by either side.
  var applicationCode: UInt64? {
    if case .application(let code, _, _) = self { code } else { nil }
  }

  var isRemote: Bool {
    if case .application(_, let isRemote, _) = self { isRemote } else { false }
  }
}
