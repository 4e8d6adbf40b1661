import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Share")
struct ShareCoreTests {
  @Test("sessions and flows are counted and reported once, with the peer's identity")
  func totals() throws {
    let world = try TunnelWorld()
    world.targets.onAccept = {
      $0.echoes = true
      $0.finishesAtEnd = true
    }
    try world.open()
    let programs = (0..<3).map { _ in world.connect() }
    for program in programs { program.send([1, 2, 3, 4], finishing: true) }
    world.wait { world.shareJournal.reports.count == 3 && programs.allSatisfy(\.sawEnd) }
    #expect(programs.allSatisfy { $0.received == [1, 2, 3, 4] })
    #expect(world.shareJournal.flowsOpened == [4, 8, 12])
    let totals = world.share.statistics
    #expect(totals.sessions == 1 && totals.sessionsOpen == 1)
    #expect(totals.flows == 3 && totals.flowsOpen == 0 && totals.flowsFailed == 0)
    #expect(totals.bytesSent == 12 && totals.bytesReceived == 12)
    #expect(totals.path?.remote.with(port: 0) == .clientHost)
    guard case .sessionOpened(let peer, _, _)? = world.shareJournal.events.first else {
      Issue.record("the first event is another")
      return
    }
    #expect(peer == TunnelWorld.linkIdentity.publicKey)
  }

  @Test("many clients are served at once, each for itself")
  func manySessions() throws {
    let world = try TunnelWorld()
    let clients = try (0..<8).map { number in
      let client = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost),
        identity: .fixture(UInt8(10 + number)), acceptsConnections: false)
      client.onReady = { $0.greet() }
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return client
    }
    world.wait { world.shareJournal.opened == 8 }
    #expect(world.share.statistics.sessionsOpen == 8)
    clients[0].connection?.close(code: TunnelCode.done, reason: "")
    world.wait { world.shareJournal.ends.count == 1 }
    #expect(world.share.statistics.sessionsOpen == 7)
    #expect(clients.dropFirst().allSatisfy { $0.error == nil })
  }

  @Test("strangers behind one address cannot take the places of others")
  func strangersOfOneSource() throws {
    let world = try TunnelWorld()
    func dial(_ number: Int, from host: SocketAddress) throws -> RawPeer {
      let peer = try RawPeer(
        loop: world.loop, socket: world.network.bind(host), identity: .fixture(UInt8(number)),
        acceptsConnections: false)
      try peer.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return peer
    }
    // None of them says HELLO.
    let strangers = try (0..<80).map { try dial(10 + $0, from: .otherHost) }
    world.loop.run(for: .seconds(1))
    #expect(strangers.count { $0.isReady } == 64)
    #expect(strangers.allSatisfy { $0.error == nil })
    try world.open()
    // Their places are free again when they are gone.
    world.loop.run(for: .seconds(25))
    #expect(strangers.allSatisfy { $0.error != nil })
    let late = try dial(9, from: .otherHost)
    late.onReady = { $0.greet() }
    world.wait { world.shareJournal.opened == 2 }
    #expect(late.error == nil)
  }

  @Test("a source with many unfinished handshakes has to prove its address first")
  func retryForOneSource() throws {
    let world = try TunnelWorld()
    let host = SocketAddress("203.0.113.9", port: 0)!
    // What a forger of addresses gets: the answers go to somebody else.
    world.network.link(from: .serverHost, to: host).settings.isBlackhole = true
    let forged = try (0..<100).map { number in
      let peer = try RawPeer(
        loop: world.loop, socket: world.network.bind(host), identity: .fixture(UInt8(100 + number)),
        acceptsConnections: false)
      try peer.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return peer
    }
    world.loop.run(for: .seconds(1))
    #expect(world.shareEndpoint.connectionCount == 16)
    #expect(forged.allSatisfy { !$0.isReady })
  }

  @Test("TCP connections of strangers are few for each source and end by themselves")
  func strangersOverTCP() throws {
    let world = try TunnelWorld { $0.tcpPasses = true }
    var programs: [LocalProgram] = []
    func arrive(from remote: SocketAddress) {
      let (near, far) = SimStreamSocket.pair(
        loop: world.loop, capacity: 65_536, latency: .milliseconds(1))
      programs.append(LocalProgram(far))
      world.share.carriers.accept(near, from: remote, at: .serverHost)
    }
    for port in 0..<50 { arrive(from: SocketAddress.otherHost.with(port: UInt16(port))) }
    world.loop.run(for: .milliseconds(100))
    #expect(programs.count { $0.isOver } == 50 - StrangerGate.perSourceMax)
    arrive(from: .clientHost)
    world.loop.run(for: .milliseconds(100))
    #expect(programs.last?.isOver == false)
    world.loop.run(for: .seconds(11))
    #expect(programs.allSatisfy { $0.isOver })
  }

  @Test("a carrier whose session has ended is closed, also when its peer keeps it open")
  func abandonedCarrier() throws {
    let world = try TunnelWorld {
      $0.tcpPasses = true
      $0.carriers = .only(.tcp)
    }
    try world.open()
    let carrier = try #require(world.tcp.connections.first)
    world.loop.run(for: .seconds(30))
    #expect(!carrier.isReleased && world.errors.isEmpty)
    // The link's QUIC goes away and its TCP connection does not.
    world.link.openSession?.close(code: TunnelCode.done, reason: "")
    world.loop.run(for: .seconds(30))
    #expect(carrier.isReleased)
  }

  @Test("a crowd of strangers that say nothing is turned away, and does no harm")
  func crowd() throws {
    let world = try TunnelWorld()
    try world.open()
    let crowd = try (0..<400).map { number in
      let stranger = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost),
        identity: .fixture(UInt8(10 + number % 200)), acceptsConnections: false)
      try stranger.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return stranger
    }
    world.targets.onAccept = { $0.echoes = true }
    let program = world.connect()
    program.send([1])
    world.wait(.seconds(1)) { program.received == [1] }
    world.wait(.seconds(30)) { crowd.allSatisfy { $0.error != nil } }
    world.wait(.seconds(10)) { world.shareEndpoint.connectionCount == 1 }
  }

  @Test("draining lets open flows finish, says goodbye, and completes once")
  func drain() throws {
    let world = try TunnelWorld()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    var completions = 0
    world.share.drain { completions += 1 }
    world.wait { world.linkJournal.goodbyes.count == 1 }
    world.loop.run(for: .seconds(3))
    #expect(completions == 0)
    // The open flow still works both ways, to its end.
    let answer = Payload.bytes(100_000, seed: 1)
    world.targets.programs[0].send(answer, finishing: true)
    program.send([2], finishing: true)
    world.wait { program.sawEnd && completions == 1 }
    #expect(Payload.difference(program.received, answer) == nil)
    #expect(world.targets.programs[0].received == [1, 2])
    world.loop.run(for: .seconds(1))
    #expect(completions == 1)
  }

  @Test("a flow that arrives while draining is reset, and its program told")
  func flowWhileDraining() throws {
    let world = try TunnelWorld()
    try world.open()
    let first = world.connect()
    first.send([1])
    world.wait { world.targets.programs.count == 1 }
    var isDrained = false
    world.share.drain { isDrained = true }
    let late = world.connect()
    late.send([1])
    world.wait { late.isOver }
    #expect(late.failure == ECONNRESET)
    #expect(world.targets.programs.count == 1)
    #expect(!isDrained)
    first.finish()
    world.targets.programs[0].finish()
    world.wait { isDrained }
  }

  @Test("without flows, draining completes at once; a client that comes then is sent away")
  func drainIdle() throws {
    let world = try TunnelWorld()
    var isDrained = false
    world.share.drain { isDrained = true }
    #expect(isDrained)
    world.link.start()
    world.wait { !world.errors.isEmpty }
    guard case .ended? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    #expect(world.share.statistics.sessions == 0)
  }

  @Test("what was sent before the drain was over reaches the program, close or not")
  func drainedDataArrives() throws {
    let world = try TunnelWorld { $0.network.bitsPerSecond = 8_000_000 }
    let answer = Payload.bytes(200_000, seed: 2)
    world.targets.onAccept = { $0.send(answer, finishing: true) }
    try world.open()
    let program = world.connect()
    program.send([1], finishing: true)
    world.wait { world.targets.programs.count == 1 }
    world.share.drain { [share = world.share] in share.close() }
    world.wait { program.isOver }
    #expect(program.sawEnd)
    #expect(Payload.difference(program.received, answer) == nil)
  }

  @Test("closing ends every session and flow, and says why")
  func close() throws {
    let world = try TunnelWorld()
    try world.open()
    let programs = (0..<5).map { _ in world.connect() }
    for program in programs { program.send([1]) }
    world.wait { world.targets.programs.filter { $0.received == [1] }.count == 5 }
    world.share.close()
    world.wait { programs.allSatisfy(\.isOver) && !world.errors.isEmpty }
    #expect(programs.allSatisfy { $0.failure == ECONNRESET && !$0.sawEnd })
    #expect(world.targets.programs.allSatisfy { $0.failure == ECONNRESET })
    #expect(world.shareJournal.reports.count == 5)
    guard case .ended("the sharing side stopped")? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    world.wait { world.shareEndpoint.connectionCount == 0 }
  }

  @Test("when the session is lost, every flow is reset at both ends and reported once")
  func sessionLost() throws {
    let world = try TunnelWorld()
    try world.open()
    let programs = (0..<100).map { _ in world.connect() }
    for program in programs { program.send([1]) }
    world.wait { world.targets.programs.filter { $0.received == [1] }.count == 100 }
    world.cutNetwork()
    world.wait(.seconds(60)) {
      world.linkJournal.ends.count == 1 && world.shareJournal.ends.count == 1
    }
    world.loop.run(for: .seconds(1))
    for journal in [world.linkJournal, world.shareJournal] {
      #expect(journal.reports.count == 100)
      #expect(Set(journal.reports.map(\.number)).count == 100)
      #expect(journal.reports.allSatisfy { $0.ending == .sessionLost })
      #expect(journal.ends == [.idleTimeout])
    }
    for program in programs + world.targets.programs {
      #expect(program.failure == ECONNRESET)
      #expect(!program.sawEnd)
    }
    #expect(world.share.statistics.flowsOpen == 0 && world.share.statistics.sessionsOpen == 0)
    #expect(world.link.statistics.flowsOpen == 0)
  }

  @Test("the target can be probed")
  func probe() throws {
    let world = try TunnelWorld()
    var results: [Int32] = []
    world.share.probeTarget(of: "") { results.append($0) }
    world.wait { results == [0] }
    world.targets.behaviours[SimTargets.web] = .refuses(ECONNREFUSED)
    world.share.probeTarget(of: "") { results.append($0) }
    world.wait { results == [0, ECONNREFUSED] }
  }
}
