import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Links that dial again.
@Suite("Reconnect")
struct ReconnectTests {
  private static func world(_ retry: RetryPolicy) throws -> TunnelWorld {
    try TunnelWorld { $0.retry = retry }
  }

  @Test("the delay grows from 200 ms by 1.6 to 15 s, and jitter takes up to a third off")
  func delays() {
    let delays = (1...20).map { RetryPolicy.delay(attempt: $0, jitter: 0) }
    #expect(
      delays.prefix(4) == [
        .milliseconds(200), .milliseconds(320), .milliseconds(512), .microseconds(819_200),
      ])
    #expect(delays.last == .seconds(15))
    #expect(zip(delays, delays.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(RetryPolicy.delay(attempt: 30, jitter: 1) < .milliseconds(10_001))
  }

  @Test("a peer that lost its state says so when asked; the link is back, and the listener serves")
  func restarted() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    world.targets.onAccept = { $0.echoes = true }
    let old = world.connect()
    old.send([1])
    world.wait { old.received == [1] }
    try world.restartShare()
    let restarted = world.loop.now
    old.send([2])
    world.wait(.seconds(5)) { old.isOver }
    #expect(old.failure == ECONNRESET)
    let late = world.connect()
    late.send([3])
    world.wait(.seconds(5)) { late.received == [3] }
    #expect(world.loop.now - restarted < .seconds(1))
    #expect(world.linkJournal.ends == [.statelessReset])
    #expect(world.linkJournal.retries.first == 1)
    #expect(world.openedCount == 1 && world.errors.isEmpty)
    #expect(world.link.statistics.sessions == 2 && world.link.statistics.sessionsOpen == 1)
  }

  @Test("an idle session finds out about a restart with its next probe")
  func restartedIdle() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    world.loop.run(for: .seconds(3))
    try world.restartShare()
    world.wait(.seconds(20)) { world.shareJournal.opened == 2 }
  }

  @Test("a share that stops and stays away is dialled for as long as it takes")
  func away() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    world.share.close()
    world.loop.run(for: .seconds(600))
    #expect(world.errors.isEmpty)
    // One attempt takes ten seconds, the pause after it fifteen at most.
    #expect(world.linkJournal.retries.count > 20)
    #expect(world.linkJournal.retries == Array(1...world.linkJournal.retries.count))
    try world.restartShare()
    world.wait(.seconds(26)) { world.shareJournal.opened == 2 }
  }

  @Test("a change of the network ends the pause at once")
  func networkChange() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    world.share.close()
    let isResting = {
      world.linkJournal.retries.count > 8 && world.linkEndpoint.connectionCount == 0
    }
    world.wait(.seconds(600), until: isResting)
    try world.restartShare()
    world.targets.onAccept = { $0.echoes = true }
    world.link.lookAgain()
    world.wait(.milliseconds(200)) { world.shareJournal.opened == 2 }
    // The pause that was ended does not end the session when it would have been over.
    let program = world.connect()
    program.send([1])
    world.wait { program.received == [1] }
    world.loop.run(for: .seconds(20))
    program.send([2])
    world.loop.run(for: .seconds(1))
    #expect(program.received == [1, 2])
    #expect(world.shareJournal.opened == 2 && world.linkEndpoint.connectionCount == 1)
  }

  @Test("programs that come meanwhile wait for half a minute, then they are refused")
  func waiting() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    world.share.close()
    world.wait { !world.linkJournal.retries.isEmpty }
    let early = world.connect()
    world.loop.run(for: .seconds(29))
    #expect(!early.isOver)
    world.wait(.seconds(2)) { early.failure == ECONNRESET }
    world.targets.onAccept = { $0.echoes = true }
    let patient = world.connect()
    patient.send([5])
    try world.restartShare()
    world.wait(.seconds(29)) { patient.received == [5] }
  }

  @Test("never means never, and a number of attempts is kept to")
  func limits() throws {
    let never = try Self.world(.never)
    try never.open()
    never.share.close()
    never.wait { never.errors.count == 1 }
    #expect(never.linkJournal.retries.isEmpty)
    let three = try Self.world(RetryPolicy(attemptsMax: 3, includesFirst: true))
    three.cutNetwork()
    three.link.start()
    three.wait(.seconds(60)) { three.errors.count == 1 }
    #expect(three.linkJournal.retries == [1, 2, 3])
    guard case .unreachable? = three.errors.first else {
      Issue.record("\(three.errors)")
      return
    }
  }

  @Test("the first attempt is repeated only if that is wished")
  func firstAttempt() throws {
    let once = try Self.world(.afterLoss)
    once.cutNetwork()
    once.link.start()
    once.wait(.seconds(30)) { once.errors.count == 1 }
    let always = try Self.world(.always)
    always.cutNetwork()
    always.link.start()
    always.loop.run(for: .seconds(60))
    #expect(always.errors.isEmpty)
    always.mendNetwork()
    always.wait(.seconds(30)) { always.openedCount == 1 }
  }

  @Test("what another attempt cannot heal ends the link at once")
  func forGood() throws {
    let codes = [
      TunnelCode.notAuthorized, TunnelCode.revoked, TunnelCode.expired, TunnelCode.usedUp,
      TunnelCode.identityNotAllowed,
    ]
    for code in codes {
      let world = try TunnelWorld {
        $0.retry = .always
        $0.addresses = [SocketAddress.otherHost.with(port: 4_433)]
      }
      let server = try RawPeer(
        loop: world.loop, socket: world.network.bind(SocketAddress.otherHost.with(port: 4_433)),
        identity: TunnelWorld.shareIdentity, acceptsConnections: true)
      server.onReady = { $0.connection?.close(code: code, reason: "no") }
      world.link.start()
      world.wait(.seconds(5)) { world.errors.count == 1 }
      switch world.errors.first {
      case .refused, .denied: break
      default: Issue.record("\(code): \(world.errors)")
      }
    }
  }

  @Test("the sharing side forgets a session that its peer has lost, and only its own")
  func replaced() throws {
    let world = try Self.world(.afterLoss)
    try world.open()
    let number = try #require(world.link.openSession?.paths?.keys.session)
    let thief = try RawPeer(
      loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(3),
      acceptsConnections: false)
    thief.onReady = { $0.greet() }
    try thief.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    world.wait { world.shareJournal.opened == 2 }
    try thief.streams[0].stream.write(ControlMessage.lost(number).encoded)
    world.loop.run(for: .seconds(1))
    #expect(world.share.statistics.sessionsOpen == 2 && thief.error == nil)
    let twin = try RawPeer(
      loop: world.loop, socket: world.network.bind(.otherHost), identity: TunnelWorld.linkIdentity,
      acceptsConnections: false)
    twin.onReady = { $0.greet() }
    try twin.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    world.wait { world.shareJournal.opened == 3 }
    try twin.streams[0].stream.write(ControlMessage.lost(number).encoded)
    world.wait(.seconds(1)) {
      world.shareJournal.ends.map(\.applicationCode) == [TunnelCode.replaced]
    }
  }
}
