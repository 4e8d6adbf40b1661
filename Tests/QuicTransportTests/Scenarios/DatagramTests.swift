import Simulation
import Testing

@testable import QuicTransport

@Suite("Datagrams")
struct DatagramTests {
  @Test("datagrams arrive in both directions")
  func bothWays() throws {
    let world = try World()
    let (client, server) = try world.connect()
    try client.connection?.sendDatagram([1, 2, 3])
    try server.connection?.sendDatagram([4])
    world.wait { client.datagrams.count == 1 && server.datagrams.count == 1 }
    #expect(server.datagrams == [[1, 2, 3]])
    #expect(client.datagrams == [[4]])
  }

  @Test("the largest datagram passes in one packet, one byte more is refused with the limit")
  func largest() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.loop.run(for: .seconds(2))
    let connection = try #require(client.connection)
    let most = connection.datagramSizeMax
    #expect(most > 1_300 && most < 1_472)
    try connection.sendDatagram([UInt8](repeating: 7, count: most))
    world.wait { server.datagrams.count == 1 }
    #expect(server.datagrams.first?.count == most)
    #expect(throws: DatagramError.tooLarge(max: most)) {
      try connection.sendDatagram([UInt8](repeating: 7, count: most + 1))
    }
  }

  @Test("an empty datagram is refused")
  func empty() throws {
    let world = try World()
    let (client, _) = try world.connect()
    #expect(throws: DatagramError.empty) { try client.connection?.sendDatagram([]) }
  }

  @Test("a full queue drops its oldest")
  func queueFull() throws {
    let room = 4 * (1 + DatagramQueue.overhead)
    let world = try World { $0.transport { $0.datagramBytesQueuedMax = room } }
    let (client, server) = try world.connect()
    for number in 0..<9 { try client.connection?.sendDatagram([UInt8(number)]) }
    world.wait { server.datagrams.count == 4 }
    #expect(server.datagrams == [[5], [6], [7], [8]])
    #expect(client.connection?.statistics.datagramFramesDropped == 5)
    #expect(client.connection?.statistics.datagramFramesSent == 4)
    #expect(server.connection?.statistics.datagramFramesReceived == 4)
  }

  @Test("while the window is closed, datagrams wait for 100 ms at most: what arrives then is fresh")
  func closedWindow() throws {
    let world = try World()
    let (client, server) = try world.connect()
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = true }
    func send(_ number: Int) throws {
      let bytes = withUnsafeBytes(of: UInt32(number).bigEndian, Array.init)
      try client.connection?.sendDatagram(bytes + [UInt8](repeating: 0, count: 1_000))
    }
    for number in 0..<200 {
      try send(number)
      world.loop.run(for: .milliseconds(5))
    }
    world.network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
    for number in 200..<1_000 {
      try send(number)
      world.loop.run(for: .milliseconds(5))
    }
    let numbers = server.datagrams.map { $0.prefix(4).reduce(0) { $0 << 8 | Int($1) } }
    // The gap ends with a retransmission timer that has backed off; then everything passes.
    #expect(numbers.last == 999)
    let old = numbers.filter { (0..<180).contains($0) }
    #expect(old.isEmpty)
    #expect(try #require(client.connection).statistics.datagramFramesDropped > 50)
  }

  @Test("a bulk stream and a flood of datagrams share a full link", arguments: Seeds.first(3))
  func turns(seed: UInt64) throws {
    let world = try World {
      $0.seed = seed
      $0.link.bitsPerSecond = 20_000_000
      $0.link.queueBytes = 64 * 1024
    }
    let (client, server) = try world.connect()
    let pattern = Pattern(seed: 3)
    server.onOpened = { $0.expect(pattern) }
    world.accepted.first?.onOpened = { $0.expect(pattern) }
    let stream = try client.open()
    stream.send(1 << 28, of: pattern, finishing: false)
    // 24 Mbit/s, more than the link.
    for _ in 0..<5_000 {
      for _ in 0..<3 {
        try client.connection?.sendDatagram([UInt8](repeating: 1, count: 1_000))
      }
      world.loop.run(for: .milliseconds(1))
    }
    let datagrams = server.datagrams.count * 1_000
    let bulk = try #require(server.opened.first).received
    let share = Double(datagrams) / Double(datagrams + bulk)
    #expect(share > 0.35 && share < 0.65, "datagrams had \(share) of \(datagrams + bulk) bytes")
    #expect(datagrams + bulk > 8_000_000)
  }

  @Test("datagrams that take less than half wait behind no bulk")
  func sparse() throws {
    let world = try World { $0.link.bitsPerSecond = 20_000_000 }
    let (client, server) = try world.connect()
    let stream = try client.open()
    stream.send(1 << 28, of: Pattern(seed: 3), finishing: false)
    world.loop.run(for: .seconds(2))
    for number in 0..<100 {
      try client.connection?.sendDatagram([UInt8(number)])
      world.loop.run(for: .milliseconds(20))
    }
    world.loop.run(for: .seconds(1))
    // What the link's own queue drops is lost, as for everyone.
    #expect(server.datagrams.count > 90)
    #expect(client.connection?.statistics.datagramFramesDropped == 0)
  }

  @Test("a peer that takes none is not sent any")
  func unsupported() throws {
    let world = try World { $0.server.transport.datagramSizeMax = 0 }
    let (client, _) = try world.connect()
    #expect(client.connection?.datagramSizeMax == 0)
    #expect(throws: DatagramError.unsupported) { try client.connection?.sendDatagram([1]) }
  }

  @Test("lost datagrams are not sent again and do not hold up others", arguments: Seeds.all)
  func loss(seed: UInt64) throws {
    let world = try World {
      $0.seed = seed
      $0.link.lossRate = 0.1
      // A probe for a larger MTU fills the small window of a lossy path for a while.
      $0.transport { $0.pathMTUProbes = [] }
    }
    let (client, server) = try world.connect()
    for number in 0..<200 {
      try client.connection?.sendDatagram([UInt8(number)])
      world.loop.run(for: .milliseconds(20))
    }
    world.loop.run(for: .seconds(5))
    let numbers = server.datagrams.compactMap(\.first)
    #expect(numbers == numbers.sorted())
    #expect(Set(numbers).count == numbers.count)
    #expect(numbers.count > 140 && numbers.count < 200)
  }
}
