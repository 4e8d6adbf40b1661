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

  @Test("a full queue refuses, and takes more once it drained")
  func queueFull() throws {
    let world = try World { $0.transport { $0.datagramsQueuedMax = 4 } }
    let (client, server) = try world.connect()
    for number in 0..<4 { try client.connection?.sendDatagram([UInt8(number)]) }
    #expect(throws: DatagramError.queueFull) { try client.connection?.sendDatagram([9]) }
    world.wait { server.datagrams.count == 4 }
    #expect(server.datagrams == [[0], [1], [2], [3]])
    try client.connection?.sendDatagram([9])
    world.wait { server.datagrams.last == [9] }
  }

  @Test("a queue that never drains grows with what it holds, not with what passed through it")
  func queueMemory() throws {
    var queue = DatagramQueue()
    queue.append([0])
    for number in 1...10_000 {
      queue.append([UInt8(truncatingIfNeeded: number)])
      queue.removeFirst()
      #expect(queue.first == [UInt8(truncatingIfNeeded: number)] && queue.count == 1)
    }
    let places = Mirror(reflecting: queue).descendant("items") as? [[UInt8]]
    #expect(try #require(places).count < 200)
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
