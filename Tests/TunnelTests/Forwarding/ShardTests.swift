import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Forwarding on several cores", .timeLimit(.minutes(1)))
struct ShardTests {
  @Test("sessions go where the fewest are, and their numbers lead there")
  func placing() throws {
    let world = try ShardWorld(cores: 3)
    var sessions = try (0..<12).map { try world.open($0) }
    #expect(sessions.prefix(3).map { world.shard(of: $0) } == [2, 1, 0])
    #expect(world.desk.totals.shards.map(\.sessionsOpen) == [4, 4, 4])
    for session in sessions where world.shard(of: session) == 1 {
      world.desk.close(session.number)
    }
    sessions = try (12..<16).map { try world.open($0) }
    #expect(sessions.allSatisfy { world.shard(of: $0) == 1 })
    #expect(world.desk.totals.sessionsOpen == 12 && world.desk.totals.sessions == 16)
  }

  @Test("a session with a byte stream's leg is with the byte streams, and crosses there")
  func byteStreams() throws {
    let world = try ShardWorld(cores: 2)
    for number in 0..<4 {
      let session = try world.desk.open(
        between: ShardWorld.party(
          UInt8(2 * number + 1), port: 1, path: PathLabel.carrier(UInt64(number), kind: .tcp)),
        and: ShardWorld.party(UInt8(2 * number + 2), port: UInt16(7 + number)), payer: nil)
      #expect(world.shard(of: session) == 0)
    }
  }

  @Test("each session's datagrams leave by the socket of its core, whole, in order, both ways")
  func crossing() throws {
    let world = try ShardWorld(cores: 3)
    let sessions = try (0..<6).map { try world.open($0) }
    world.run()
    for round in 0..<40 {
      for session in sessions {
        world.send([UInt8](repeating: UInt8(round), count: 700), on: session)
        world.send([UInt8(round)], on: session, leg: 1)
      }
    }
    world.run()
    for session in sessions {
      let all = world.departures(of: session)
      #expect(all.allSatisfy { $0.shard == world.shard(of: session) })
      for (leg, size) in [(1, 700), (0, 1)] {
        let there = all.filter { $0.path == session.legs[leg].path }
        #expect(there.map(\.payload.count) == [Int](repeating: size, count: 40))
        #expect(there.map { $0.payload[0] } == (0..<40).map { UInt8($0) })
        #expect(there.map(\.header.sequence) == (0..<40).map { UInt16($0) })
      }
    }
    let totals = world.desk.totals
    #expect(totals.datagrams == 480 && totals.shards.map(\.datagrams) == [160, 160, 160])
    #expect(totals.datagramsHandedOver == 0)
  }

  @Test("what the kernel coalesced across sessions, or with QUIC, finds its core from any socket")
  func handover() throws {
    let world = try ShardWorld(cores: 3)
    let sessions = try (0..<3).map { try world.open($0) }
    world.run()
    for socket in 0..<3 {
      for session in sessions {
        for round in 0..<20 { world.send([UInt8(socket), UInt8(round)], on: session, at: socket) }
      }
      world.arrive([0x00, UInt8(socket)], at: socket, path: sessions[0].legs[0].path)
    }
    world.run()
    for session in sessions {
      let all = world.departures(of: session)
      #expect(all.count == 60 && all.allSatisfy { $0.shard == world.shard(of: session) })
      for socket in 0..<3 {
        let from = all.filter { $0.payload[0] == UInt8(socket) }
        #expect(from.map { $0.payload[1] } == (0..<20).map { UInt8($0) })
      }
    }
    #expect(Set(world.foreign) == [[0, 0], [0, 1], [0, 2]])
    // Two of three sockets are wrong for each, and QUIC's and STUN's is the first.
    #expect(world.desk.totals.datagramsHandedOver == 120 + 2)
    #expect(world.desk.totals.datagramsUnknown == 0)
  }

  @Test("the first datagram may be there before the mail that tells of its session was read")
  func overtaking() throws {
    let world = try ShardWorld(cores: 2)
    let session = try world.open(0)
    #expect(world.shard(of: session) == 1)
    world.send([7], on: session)
    world.run()
    #expect(world.departures(of: session).map(\.payload) == [[7]])
  }

  @Test("a NAT that gives out another port does not change the core, and the leg moves by proof")
  func rebinding() throws {
    let world = try ShardWorld(cores: 2)
    let session = try world.open(0)
    let shard = world.shard(of: session)
    world.send([1], on: session)
    world.send([2], on: session, leg: 1)
    world.run()
    var moved = session.legs[0].path
    moved.remote.port = 60_000
    // Not yet proved.
    world.send([3], on: session, path: moved)
    world.run()
    #expect(world.desk.totals.datagramsUnknown == 1)
    try bind(session, leg: 0, to: moved, at: shard, in: world)
    let generation = session.legs[0].generation + 1
    let header = RelayHeader(
      kind: .data, sequence: 0, session: session.number, generation: generation)
    world.forgetDepartures()
    world.arrive(header.encoded + [4], at: shard, path: moved)
    world.send([5], on: session, leg: 1)
    world.run()
    let left = world.departures(of: session)
    #expect(left.map(\.payload) == [[4], [5]] && left.allSatisfy { $0.shard == shard })
    #expect(left[1].path == moved && left[1].header.generation == generation)
    #expect(world.desk.totals.bindings == 1)
  }

  @Test("a leg that moves to a byte stream goes on: its datagrams change loops")
  func movingToByteStream() throws {
    let world = try ShardWorld(cores: 2)
    let session = try world.open(0)
    #expect(world.shard(of: session) == 1)
    world.run()
    // Byte streams come in on the desk's loop.
    try bind(session, leg: 0, to: ShardWorld.carrier, at: 0, in: world)
    world.forgetDepartures()
    let header = RelayHeader(
      kind: .data, sequence: 0, session: session.number,
      generation: session.legs[0].generation + 1)
    for round in 0..<30 {
      world.arrive(header.encoded + [UInt8(round)], at: 0, path: ShardWorld.carrier)
      world.send([UInt8(100 + round)], on: session, leg: 1)
    }
    world.run()
    let left = world.departures(of: session)
    let toStream = left.filter { $0.path == ShardWorld.carrier }
    #expect(toStream.map(\.payload) == (0..<30).map { [UInt8(100 + $0)] })
    #expect(toStream.allSatisfy { $0.shard == nil })
    let toUDP = left.filter { $0.path != ShardWorld.carrier }
    #expect(toUDP.map(\.payload) == (0..<30).map { [UInt8($0)] })
    #expect(toUDP.allSatisfy { $0.shard == 1 })
    #expect(world.desk.totals.traffic(over: .tcp).datagrams == 30)
  }

  @Test("a loop that does not keep up loses datagrams and no memory")
  func overrun() throws {
    let world = try ShardWorld(cores: 2)
    let session = try world.open(0)
    let post = world.team.parcelPost(to: 1, loop: world.loop, from: world.desk.local)
    let payload = [UInt8](repeating: 1, count: 60_000)
    payload.withUnsafeBytes { bytes in
      for _ in 0..<200 {
        post.add(ReceivedDatagram(bytes: bytes, path: session.legs[0].path, ecn: .notCapable))
      }
    }
    world.run()
    // 16 parcels of 256 KiB at most.
    let lost = world.desk.totals.datagramsOverrun
    #expect(lost >= 200 - 16 * 4 - 4 && lost < 200)
  }

  @Test("what a session's core lacks is dropped without an answer, and so is what was closed")
  func closing() throws {
    let world = try ShardWorld(cores: 2)
    let sessions = try (0..<2).map { try world.open($0) }
    world.run()
    for session in sessions { world.desk.close(session.number) }
    world.run()
    for session in sessions {
      world.send([1], on: session)
      world.send([1], on: session, leg: 1)
    }
    world.run()
    #expect(world.left.isEmpty && world.desk.totals.datagramsUnknown == 4)
    #expect(world.desk.sessionsOpen == 0)
    #expect(world.desk.totals.shards.map(\.sessionsOpen) == [0, 0])
  }

  @Test("sessions that nobody uses end on each core, and their owner hears of it")
  func leases() throws {
    let world = try ShardWorld(cores: 2)
    let unused = try (0..<4).map { try world.open($0) }
    let used = try (4..<6).map { try world.open($0) }
    for _ in 0..<40 {
      for session in used {
        world.send([1], on: session)
        world.send([1], on: session, leg: 1)
      }
      world.run(.seconds(3))
    }
    #expect(Set(world.expired) == Set(unused.map(\.number)))
    #expect(world.desk.sessionsOpen == 2)
    #expect(world.desk.totals.shards.map(\.sessionsOpen) == [1, 1])
  }

  @Test("all loops stop, release their sockets, and only then it is over")
  func stopping() throws {
    let world = try ShardWorld(cores: 3)
    _ = try (0..<6).map { try world.open($0) }
    world.run()
    var isOver = false
    world.desk.close { isOver = true }
    #expect(!isOver)
    world.run()
    #expect(isOver && world.stopped.sorted() == [1, 2])
    #expect(world.sockets[1].isClosed && world.sockets[2].isClosed)
    #expect(world.loop.runUntilIdle(within: .seconds(60)))
  }

  /// BIND, CHALLENGE, ANSWER, BOUND as a node says them from a path, by the socket of a core.
  private func bind(
    _ session: SessionOrder, leg: Int, to path: NetworkPath, at socket: Int, in world: ShardWorld
  ) throws {
    let key = session.legs[leg].key
    let generation = session.legs[leg].generation + 1
    func say(_ kind: RelayHeader.Kind, _ cookie: [UInt8]) throws -> BindMessage {
      let message = BindMessage(
        kind: kind, session: session.number, generation: generation, cookie: cookie)
      world.forgetDepartures()
      world.arrive(message.encoded(key: key), at: socket, path: path)
      world.run()
      let answer = try #require(world.left.first)
      #expect(answer.path == path)
      return try #require(answer.bytes.withUnsafeBytes { BindMessage($0, key: key) })
    }
    let challenge = try say(.bind, BindMessage.noCookie)
    #expect(challenge.header.kind == .challenge)
    #expect(try say(.answer, challenge.cookie).header.kind == .bound)
  }
}
