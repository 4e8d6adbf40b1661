import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Link")
struct LinkCoreTests {
  private static let deadAddress = SocketAddress.otherHost.with(port: 9)

  @Test("the session opens, once, and tells the peer's identity")
  func opens() throws {
    let world = try TunnelWorld()
    try world.open()
    world.loop.run(for: .seconds(5))
    #expect(world.openedCount == 1 && world.errors.isEmpty)
    guard case .sessionOpened(let peer, let path, let rtt)? = world.linkJournal.events.first else {
      Issue.record("the first event is another")
      return
    }
    #expect(peer == TunnelWorld.shareIdentity.publicKey)
    #expect(path.remote == TunnelWorld.shareAddress)
    #expect(rtt >= .milliseconds(10))
    #expect(world.link.statistics.sessionsOpen == 1)
  }

  @Test("a ticket that is not valid here is refused, in the peer's words")
  func wrongCapability() throws {
    let world = try TunnelWorld { $0.ticketCapability = SecretBytes([UInt8](1...16)) }
    world.link.start()
    world.wait { !world.errors.isEmpty && !world.shareJournal.refusals.isEmpty }
    guard case .refused("the ticket is not valid here")? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    #expect(world.errors.count == 1 && world.openedCount == 0)
    #expect(world.shareJournal.refusals.map(\.applicationCode) == [TunnelCode.notAuthorized])
  }

  @Test("another identity at the ticket's address is a mismatch, and is told nothing")
  func wrongIdentity() throws {
    let expected = Identity.fixture(9)
    let world = try TunnelWorld { $0.ticketIdentity = expected }
    world.link.start()
    world.wait { !world.errors.isEmpty }
    guard case .identityMismatch(let wanted, let actual)? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    #expect(wanted == expected.publicKey)
    #expect(actual == TunnelWorld.shareIdentity.publicKey)
    world.loop.run(for: .seconds(15))
    #expect(world.shareJournal.opened == 0)
  }

  @Test("a peer of an incompatible version is told apart from one that refuses")
  func incompatible() throws {
    let address = SocketAddress.otherHost.with(port: 4_433)
    let world = try TunnelWorld { $0.addresses = [address] }
    let server = try RawPeer(
      loop: world.loop, socket: world.network.bind(address),
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    server.onReady = {
      $0.connection?.close(code: TunnelCode.versionUnsupported, reason: "version 2 needed")
    }
    world.link.start()
    world.wait { !world.errors.isEmpty }
    guard case .incompatible("version 2 needed")? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test("a peer that breaks the rules of the greeting has answered, and the link says what it did")
  func greetingBroken() throws {
    let address = SocketAddress.otherHost.with(port: 4_433)
    let world = try TunnelWorld { $0.addresses = [address] }
    let server = try RawPeer(
      loop: world.loop, socket: world.network.bind(address),
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    server.onReady = { _ = try? $0.open(sending: [1]) }
    world.link.start()
    world.wait(.seconds(2)) { !world.errors.isEmpty }
    guard case .greetingBroken(.rulesBroken("unexpected stream"))? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    #expect(world.errors.first?.mayHeal == true)
  }

  @Test("a peer that never greets has answered as well")
  func noGreeting() throws {
    let address = SocketAddress.otherHost.with(port: 4_433)
    let world = try TunnelWorld { $0.addresses = [address] }
    let server = try RawPeer(
      loop: world.loop, socket: world.network.bind(address),
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    world.link.start()
    world.wait(.seconds(10)) { !world.errors.isEmpty }
    #expect(server.isReady)
    guard case .greetingBroken(.notInTime)? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test("a handshake that a forged packet ended is begun again, with other connection IDs")
  func forgedEnding() throws {
    let world = try TunnelWorld()
    var forgeries = 0
    world.network.onSend = { [weak network = world.network] datagram in
      guard datagram.to == TunnelWorld.shareAddress, datagram.bytes[0] & 0xf0 == 0xc0,
        forgeries < 2, let forged = Self.versionNegotiation(to: datagram.bytes)
      else { return }
      forgeries += 1
      network?.inject(forged, from: datagram.to, to: datagram.from)
    }
    try world.open()
    #expect(forgeries == 2 && world.errors.isEmpty)
    #expect(world.loop.elapsed < .seconds(1))
  }

  @Test("who forges answers to every attempt keeps the link out, and it says so")
  func forgedEndings() throws {
    let world = try TunnelWorld()
    world.network.onSend = { [weak network = world.network] datagram in
      guard datagram.to == TunnelWorld.shareAddress,
        let forged = Self.versionNegotiation(to: datagram.bytes)
      else { return }
      network?.inject(forged, from: datagram.to, to: datagram.from)
    }
    world.link.start()
    world.wait(.seconds(3)) { !world.errors.isEmpty }
    guard case .incompatible? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  /// Version Negotiation without a version that we speak (RFC 9000 §17.2.1), which nothing protects.
  private static func versionNegotiation(to initial: [UInt8]) -> [UInt8]? {
    guard initial.count > 40, initial[0] & 0x80 != 0 else { return nil }
    let destinationEnd = 6 + Int(initial[5])
    let sourceEnd = destinationEnd + 1 + Int(initial[destinationEnd])
    return [0x80, 0, 0, 0, 0] + initial[destinationEnd..<sourceEnd] + initial[5..<destinationEnd]
      + [0x5a, 0x6a, 0x7a, 0x8a]
  }

  @Test("a dead first address costs its head start only")
  func secondAddress() throws {
    let world = try TunnelWorld {
      $0.addresses = [Self.deadAddress, TunnelWorld.shareAddress]
    }
    try world.open()
    #expect(world.loop.elapsed < .milliseconds(150))
    world.targets.onAccept = { $0.echoes = true }
    let program = world.connect()
    program.send([5])
    world.wait { program.received == [5] }
    // The attempt at the dead address is given up, and hurts nobody.
    world.wait { world.linkEndpoint.connectionCount == 1 }
    #expect(world.errors.isEmpty)
  }

  @Test("when every address is dead, the link says so, once")
  func allDead() throws {
    let addresses = [Self.deadAddress, Self.deadAddress.with(port: 10)]
    let world = try TunnelWorld { $0.addresses = addresses }
    world.link.start()
    let waiting = world.connect()
    world.wait(.seconds(20)) { !world.errors.isEmpty }
    guard case .unreachable(addresses)? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
    world.wait { waiting.failure == ECONNRESET }
    world.loop.run(for: .seconds(20))
    #expect(world.errors.count == 1 && world.openedCount == 0)
  }

  @Test("a ticket without addresses leads nowhere, and the link says so later")
  func noAddresses() throws {
    let world = try TunnelWorld { $0.addresses = [] }
    world.link.start()
    #expect(world.errors.isEmpty)
    world.wait(.seconds(1)) { !world.errors.isEmpty }
    guard case .unreachable([])? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test("a telling failure comes before silence")
  func worstFailure() throws {
    let world = try TunnelWorld {
      $0.addresses = [Self.deadAddress, TunnelWorld.shareAddress]
      $0.ticketCapability = SecretBytes([UInt8](1...16))
    }
    world.link.start()
    world.wait(.seconds(20)) { !world.errors.isEmpty }
    guard case .refused? = world.errors.first else {
      Issue.record("\(world.errors)")
      return
    }
  }

  @Test("of several addresses that answer, one session stays and the others are closed")
  func superfluous() throws {
    // The first answer takes longer than the second address's head start.
    let second = SocketAddress.serverHost.with(port: 5_000)
    let world = try TunnelWorld {
      $0.network = LinkSettings(latency: .milliseconds(60))
      $0.addresses = [TunnelWorld.shareAddress, second]
    }
    world.shareEndpoint.add(world.network.bind(second))
    try world.open()
    world.loop.run(for: .seconds(2))
    #expect(world.linkEndpoint.connectionCount == 1)
    #expect(world.linkJournal.opened == 1 && world.openedCount == 1)
    let closed = world.shareJournal.refusals + world.shareJournal.ends
    #expect(closed.map(\.applicationCode) == [TunnelCode.superfluous])
    #expect(world.share.statistics.sessionsOpen == 1)
    #expect(world.link.statistics.path?.remote == TunnelWorld.shareAddress)
  }

  @Test("programs that come before the session is open are served once it is")
  func earlyPrograms() throws {
    let world = try TunnelWorld()
    world.targets.onAccept = {
      $0.echoes = true
      $0.finishesAtEnd = true
    }
    let early = (0..<10).map { number in
      let program = world.connect()
      program.send([UInt8(number)], finishing: true)
      return program
    }
    world.loop.run(for: .milliseconds(200))
    #expect(world.linkJournal.flowsOpened.isEmpty)
    try world.open()
    world.wait { early.allSatisfy(\.sawEnd) }
    for (number, program) in early.enumerated() { #expect(program.received == [UInt8(number)]) }
    world.wait { world.shareJournal.reports.count == 10 }
    #expect(world.linkJournal.reports.allSatisfy { $0.ending == .finished })
  }

  @Test("at the peer's limit programs wait, and go on as others end")
  func flowLimit() throws {
    // The control stream and three flows.
    let world = try TunnelWorld { $0.shareSettings.transport.bidirectionalStreamsMax = 4 }
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    let programs = (0..<10).map { number in
      let program = world.connect()
      program.send([UInt8(number)])
      return program
    }
    world.loop.run(for: .seconds(1))
    #expect(programs.map { $0.received.count } == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    #expect(world.link.statistics.flowsOpen == 3)
    for number in programs.indices {
      world.wait(.seconds(5)) { programs[number].received == [UInt8(number)] }
      programs[number].finish()
      world.targets.programs[number].finish()
    }
    world.wait { world.linkJournal.reports.count == 10 }
    #expect(world.linkJournal.reports.allSatisfy { $0.ending == .finished })
  }

  @Test("more programs than can wait are refused, and the owner is told")
  func waitingLimit() throws {
    let world = try TunnelWorld()
    let programs = (0..<1_025).map { _ in world.connect() }
    world.loop.run(for: .seconds(1))
    #expect(programs.filter(\.isOver).count == 1)
    #expect(programs.last?.failure == ECONNRESET)
    #expect(world.linkJournal.limits == 1)
  }

  @Test("draining refuses new programs, lets open flows finish, and completes once")
  func drain() throws {
    let world = try TunnelWorld()
    world.targets.onAccept = { $0.finishesAtEnd = true }
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    var completions = 0
    world.link.drain { completions += 1 }
    let late = world.connect()
    world.wait { late.failure == ECONNRESET && world.shareJournal.goodbyes.count == 1 }
    #expect(completions == 0)
    program.send([2], finishing: true)
    world.wait { completions == 1 && program.sawEnd }
    #expect(world.targets.programs.first?.received == [1, 2])
    // Refusing is no event: nothing is wrong.
    #expect(world.linkJournal.limits == 0)
  }

  @Test("programs that wait when draining begins are refused")
  func drainWhileDialling() throws {
    let world = try TunnelWorld()
    let program = world.connect()
    var isDrained = false
    world.link.drain { isDrained = true }
    #expect(isDrained)
    world.wait { program.failure == ECONNRESET }
  }

  @Test("closing resets flows at both ends and tells the peer")
  func close() throws {
    let world = try TunnelWorld()
    try world.open()
    let program = world.connect()
    program.send([1])
    world.wait { world.targets.programs.first?.received == [1] }
    world.link.close()
    world.wait { program.isOver && world.targets.programs[0].isOver }
    #expect(program.failure == ECONNRESET)
    #expect(world.targets.programs[0].failure == ECONNRESET)
    #expect(world.shareJournal.ends.map(\.applicationCode) == [TunnelCode.done])
    world.wait { world.linkEndpoint.connectionCount == 0 }
  }

  @Test("after the session is lost, programs are refused instead of kept waiting")
  func acceptAfterEnd() throws {
    let world = try TunnelWorld()
    try world.open()
    world.share.close()
    world.wait { !world.errors.isEmpty }
    let late = world.connect()
    world.wait(.seconds(1)) { late.failure == ECONNRESET }
  }

  @Test("twenty flows cross a bad network unharmed", arguments: Seeds.first(3))
  func badNetwork(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var link = LinkSettings(latency: .milliseconds(20))
    link.jitter = .milliseconds(5)
    link.lossRate = 0.03
    link.duplicationRate = 0.02
    link.reorderingRate = 0.05
    link.corruptionRate = 0.01
    let world = try TunnelWorld {
      $0.seed = seed
      $0.network = link
    }
    world.targets.onAccept = {
      $0.echoes = true
      $0.finishesAtEnd = true
    }
    try world.open()
    var sent: [[UInt8]] = []
    for _ in 0..<20 {
      let payload = Payload.bytes(Int(random.below(60_000)), seed: random.next())
      sent.append(payload)
      world.connect().send(payload, finishing: true)
      world.loop.run(for: .milliseconds(Int(random.below(20))))
    }
    world.wait(.seconds(120)) { world.programs.allSatisfy(\.isOver) }
    for (program, payload) in zip(world.programs, sent) {
      #expect(program.sawEnd && Payload.difference(program.received, payload) == nil)
    }
    world.wait { world.linkJournal.reports.count == 20 && world.shareJournal.reports.count == 20 }
    let reports = world.linkJournal.reports + world.shareJournal.reports
    #expect(reports.allSatisfy { $0.ending == .finished })
  }
}
