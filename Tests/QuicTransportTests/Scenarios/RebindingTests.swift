import Simulation
import Testing

@testable import QuicTransport

@Suite("Rebinding")
struct RebindingTests {
  @Test(
    "what a server sends first to another address is the question whether its client is there",
    arguments: [CongestionControl.cubic, .bbr])
  func challengeFirst(_ congestion: CongestionControl) throws {
    // A narrow link, so that the pacer and the window hold packets back nearly all of the time.
    let world = try World {
      $0.link.latency = .milliseconds(15)
      $0.link.bitsPerSecond = 10_000_000
      $0.link.queueBytes = 25 * 1_500
      $0.transport {
        $0.congestionControl = congestion
        // Small windows have the client say more than acknowledgements.
        $0.streamWindowInitial = 64 * 1_024
        $0.streamWindowMax = 64 * 1_024
        // A client that waits for credit says nothing; if that was sent to where it was, it waits for ever.
        $0.keepAliveInterval = .seconds(1)
      }
    }
    let pattern = Pattern(seed: 1)
    world.onAccepted = { probe in
      probe.onOpened = { stream in
        stream.expect(pattern)
        stream.send(Self.count, of: pattern, finishing: true)
      }
    }
    let (client, server) = try world.connect()
    let stream = try client.open()
    stream.expect(pattern)
    // Who sends nothing does not show where it is.
    stream.send(Self.count, of: pattern, finishing: true)
    let connection = try #require(server.connection)
    var wasAsked: [UInt16: Bool] = [:]
    world.network.onSend = { datagram in
      guard datagram.from == world.serverSocket.publicAddress else { return }
      let port = datagram.to.port
      wasAsked[port] = wasAsked[port] ?? !connection.whereabouts.mustAsk
    }
    for port in UInt16(1_000)..<1_020 {
      let before = stream.received
      world.wait { stream.received > before + 100_000 }
      world.clientSocket.rebind(to: .clientHost.with(port: port))
    }
    world.wait { stream.isClosed }
    #expect(stream.received == Self.count && stream.wrongAt == nil)
    #expect(wasAsked.count > 15)
    for (port, asked) in wasAsked.sorted(by: { $0.key < $1.key }) {
      #expect(asked, "the first packet to port \(port) was no question")
    }
  }

  private static let count = 3_000_000

  @Test("packets wait only for the first question on a path that is new")
  func whereabouts() {
    let first = path(1)
    let second = path(2)
    var whereabouts = PeerWhereabouts(first)
    #expect(!whereabouts.mustAsk)
    whereabouts.follow(first)
    #expect(!whereabouts.mustAsk)
    whereabouts.follow(second)
    #expect(whereabouts.isUnasked(on: second) && !whereabouts.isUnasked(on: first))
    whereabouts.keep(packet(on: second))
    #expect(whereabouts.takeEarly() == nil)
    whereabouts.ask()
    #expect(!whereabouts.mustAsk)
    #expect(whereabouts.takeEarly() != nil)
    #expect(whereabouts.takeEarly() == nil)
  }

  @Test("nothing waits on the way back to the path that was validated last")
  func wayBack() {
    var whereabouts = PeerWhereabouts(path(1))
    whereabouts.follow(path(2))
    whereabouts.keep(packet(on: path(2)))
    whereabouts.follow(path(1))
    #expect(!whereabouts.mustAsk)
    #expect(whereabouts.takeEarly() == nil)
    whereabouts.follow(path(2))
    whereabouts.ask()
    whereabouts.validate(path(2))
    // The old one has to prove itself again.
    whereabouts.follow(path(1))
    #expect(whereabouts.mustAsk)
    whereabouts.follow(path(2))
    #expect(!whereabouts.mustAsk)
  }

  private func path(_ port: UInt16) -> NetworkPath {
    NetworkPath(local: .serverHost, remote: .clientHost.with(port: port))
  }

  private func packet(on path: NetworkPath) -> StrandedPacket {
    [UInt8](repeating: 0, count: 40).withUnsafeBytes {
      StrandedPacket(
        DatagramBatch(bytes: $0, segmentSize: 40, path: path, ecn: .notCapable))
    }
  }
}
