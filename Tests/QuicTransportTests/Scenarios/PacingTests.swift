import Simulation
import Testing

@testable import QuicTransport

@Suite("Pacing")
struct PacingTests {
  @Test("with BBR no more than an initial window leaves at once, however large a probe may be")
  func bursts() throws {
    let world = try World {
      $0.link.latency = .milliseconds(15)
      $0.link.bitsPerSecond = 10_000_000
      $0.link.queueBytes = 25 * 1_500
      $0.transport { $0.congestionControl = .bbr }
    }
    let pattern = Pattern(seed: 1)
    let count = 2_000_000
    world.onAccepted = { probe in
      probe.onOpened = { $0.send(count, of: pattern, finishing: true) }
    }
    let (client, _) = try world.connect()
    let stream = try client.open()
    stream.expect(pattern)
    stream.send(10, of: pattern, finishing: true)
    let packetSize = 1_472
    var instant = world.loop.now
    var burst = 0
    var largest = 0
    world.network.onSend = { datagram in
      // Probes for larger packets go by themselves.
      guard datagram.from == world.serverSocket.publicAddress, datagram.bytes.count <= packetSize
      else { return }
      if world.loop.now != instant { burst = 0 }
      instant = world.loop.now
      burst += datagram.bytes.count
      largest = max(largest, burst)
    }
    world.wait { stream.isClosed }
    #expect(stream.received == count && stream.wrongAt == nil)
    // RFC 9002 §7.2 and §7.7; the last packet may begin just below the limit.
    #expect(largest <= 14_720 + packetSize)
    #expect(largest >= 14_720 / 2)
  }
}
