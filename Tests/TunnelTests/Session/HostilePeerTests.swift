import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Peers with a valid ticket that ask for more than they take, or faster than is fair.
@Suite("Hostile peers", .timeLimit(.minutes(1)))
struct HostilePeerTests {
  private let world: TunnelWorld

  init() throws {
    world = try TunnelWorld()
  }

  /// A client that is let in, of our own making.
  private func client(
    change: (inout EndpointSettings) -> Void = { _ in }
  ) throws -> (client: RawPeer, socket: SimSocket, control: RawPeer.Recorder) {
    let socket = world.network.bind(.otherHost)
    let client = try RawPeer(
      loop: world.loop, socket: socket, identity: .fixture(3), acceptsConnections: false,
      change: change)
    client.onReady = { $0.greet() }
    try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    world.wait { world.shareJournal.opened == 1 }
    return (client, socket, try #require(client.streams.first))
  }

  private func listen(_ number: UInt64) -> [UInt8] {
    ControlMessage.listen(
      ControlMessage.Listen(number: number, kind: .tcp, address: .loopbackIPv4.with(port: 80))
    ).encoded
  }

  @Test("who asks to listen for ever and takes no answer is cut off")
  func answers() throws {
    // Room for the WELCOME; what is never read grants no more.
    let (client, _, control) = try client { $0.transport.streamWindowInitial = 200 }
    control.reads = false
    for round in 0..<40 where client.error == nil {
      let wishes = (0..<1_000).flatMap { listen(UInt64(round * 1_000 + $0)) }
      try control.stream.write(wishes)
      world.loop.run(for: .seconds(1))
    }
    #expect(client.error?.applicationCode == TunnelCode.protocolViolation)
  }

  @Test("many messages at once take their turns; each is heard, in order")
  func turns() throws {
    let (client, _, control) = try client()
    let wishes = (0..<1_000).flatMap { listen(UInt64($0)) }
    try control.stream.write(wishes)
    // Refusals are told, so their number is that of the messages heard.
    func heard() -> Int { world.shareJournal.listenRefusals }
    var most = 0, before = 0
    world.wait {
      most = max(most, heard() - before)
      before = heard()
      return before == 1_000
    }
    #expect(most > 0 && most <= 32)
    world.wait { control.messages.count == 1_001 }
    let numbers = control.messages.compactMap { message -> UInt64? in
      if case .listening(let answer) = message { answer.number } else { nil }
    }
    #expect(numbers == Array(0..<1_000) && client.error == nil)
  }

  // MARK: Path messages

  private func probe(_ client: RawPeer, _ number: UInt64, size: Int) throws -> [UInt8] {
    let connection = try #require(client.connection)
    let keys = try #require(PathKeys(of: connection))
    return PathMessage(type: .probe, session: keys.session, number: number, argument: 7)
      .encoded(key: keys.sending, size: size)
  }

  @Test("a flood of probes is answered at a bounded rate, and the session is none the worse")
  func probes() throws {
    let (client, socket, _) = try client()
    var answers = 0
    world.network.onSend = { datagram in
      if datagram.to == socket.localAddress, datagram.bytes[0] == PathMessage.firstByte {
        answers += 1
      }
    }
    for number in 1...5_000 {
      world.network.inject(
        try probe(client, UInt64(number), size: PathMessage.byteCount), from: socket.localAddress,
        to: TunnelWorld.shareAddress)
    }
    world.loop.run(for: .milliseconds(100))
    #expect(answers > 300 && answers < 500)
    world.loop.run(for: .seconds(1))
    answers = 0
    world.network.inject(
      try probe(client, 9_000, size: PathMessage.byteCount), from: socket.localAddress,
      to: TunnelWorld.shareAddress)
    world.loop.run(for: .seconds(1))
    #expect(answers > 0 && client.error == nil)
  }

  @Test("copies of a message starve no honest one")
  func copies() throws {
    let (client, socket, _) = try client()
    var answers = 0
    world.network.onSend = { datagram in
      guard datagram.to == socket.localAddress, datagram.bytes[0] == PathMessage.firstByte else {
        return
      }
      if datagram.bytes[2] == PathMessage.MessageType.probeAnswer.rawValue { answers += 1 }
    }
    let first = try probe(client, 1, size: PathMessage.byteCount)
    for _ in 0..<5_000 {
      world.network.inject(first, from: .clientHost.with(port: 9), to: TunnelWorld.shareAddress)
    }
    world.network.inject(
      try probe(client, 2, size: PathMessage.byteCount), from: socket.localAddress,
      to: TunnelWorld.shareAddress)
    world.loop.run(for: .milliseconds(50))
    #expect(answers == 1)
  }

  @Test("an address whose first questions were lost is asked as soon as it is heard of again")
  func lostQuestions() throws {
    let (client, socket, _) = try client()
    // On its first path it answers, so that the share has nothing to be attentive for.
    let connection = try #require(client.connection)
    let registry = PathRegistry(endpoint: client.endpoint)
    let paths = PathManager(
      connection: connection, path: connection.currentPath, kind: .udp,
      keys: try #require(PathKeys(of: connection)), endpoint: client.endpoint, loop: world.loop)
    registry.add(paths)
    let other = socket.localAddress.with(port: 61_000)
    var questions = 0
    world.network.onSend = { datagram in
      guard datagram.to == other, datagram.bytes[0] == PathMessage.firstByte else { return }
      if datagram.bytes[2] == PathMessage.MessageType.probe.rawValue { questions += 1 }
    }
    world.loop.run(for: .seconds(2))
    world.network.inject(
      try probe(client, 1_000, size: 1_200), from: other, to: TunnelWorld.shareAddress)
    world.loop.run(for: .seconds(17))
    let before = questions
    #expect(before >= 2)
    world.network.inject(
      try probe(client, 1_001, size: PathMessage.byteCount), from: other,
      to: TunnelWorld.shareAddress)
    world.loop.run(for: .milliseconds(300))
    #expect(questions > before)
    paths.stop()
  }

  @Test(
    "an address that never answers is sent no more than three times what came from there",
    arguments: [PathMessage.byteCount, 1_200])
  func forgedAddress(size: Int) throws {
    let (client, _, _) = try client()
    let victim = SocketAddress.clientHost.with(port: 61_000)
    var sent = 0, received = 0
    world.network.onSend = { if $0.to == victim { sent += $0.bytes.count } }
    for number in 1...3 {
      received += size
      world.network.inject(
        try probe(client, UInt64(number), size: size), from: victim, to: TunnelWorld.shareAddress)
      world.loop.run(for: .seconds(30))
      #expect(sent > PathMessage.byteCount * number && sent <= 3 * received, "\(sent)")
    }
    #expect(client.error == nil)
  }
}
