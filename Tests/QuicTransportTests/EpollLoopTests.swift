import Testing

@testable import QuicTransport

@Suite("The epoll loop and its sockets")
struct EpollLoopTests {
  /// Notes at the end of a tick how often a timer had fired.
  private final class Witness: TickMember {
    var fired = 0
    var firedAtEndOfTick: Int?

    func endOfTick(now: Instant) {
      firedAtEndOfTick = fired
    }
  }

  @Test("a timer that is armed again for now waits for the next tick: others get their turn")
  func timerAgain() throws {
    let loop = try EpollLoop()
    let witness = Witness()
    var timer: LoopTimer?
    let again = LoopTimer { now in
      witness.fired += 1
      if witness.fired == 100 { loop.stop() } else if let timer { loop.schedule(timer, at: now) }
    }
    timer = again
    defer { timer = nil }
    loop.schedule(again, at: loop.now)
    loop.flushAtEndOfTick(witness)
    loop.run()
    #expect(witness.fired == 100)
    #expect(witness.firedAtEndOfTick == 1)
  }

  @Test("a closed UDP socket gives its port back, whoever still holds it")
  func closedPort() throws {
    let loop = try EpollLoop()
    let first = try UDPSocket(loop: loop, binding: .loopbackIPv4, bufferBytes: 65_536)
    #expect(throws: RuntimeError.self) {
      try UDPSocket(loop: loop, binding: first.localAddress, bufferBytes: 65_536)
    }
    first.close()
    let second = try UDPSocket(loop: loop, binding: first.localAddress, bufferBytes: 65_536)
    #expect(second.localAddress == first.localAddress)
    second.close()
  }

  /// Counts what arrives.
  private final class Counter: DatagramReceiver {
    var received: [[UInt8]] = []

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      received.append(Array(datagram.bytes))
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }

  @Test("an IPv4 socket sends nothing to an IPv6 address, least of all to its last four bytes")
  func wrongFamily() throws {
    let loop = try EpollLoop()
    let receiver = Counter()
    let target = try UDPSocket(loop: loop, binding: .loopbackIPv4, bufferBytes: 65_536)
    target.receiver = receiver
    let sender = try UDPSocket(loop: loop, binding: .loopbackIPv4, bufferBytes: 65_536)
    let foreign = SocketAddress(
      high: 0x2001_0db8 << 32, low: 0x7f00_0001, port: target.localAddress.port)
    for (byte, remote) in [(UInt8(1), foreign), (2, target.localAddress)] {
      let bytes = [byte]
      bytes.withUnsafeBytes { bytes in
        _ = sender.send(
          DatagramBatch(
            bytes: bytes, segmentSize: 1,
            path: NetworkPath(local: sender.localAddress, remote: remote), ecn: .notCapable))
      }
    }
    let end = LoopTimer { _ in loop.stop() }
    loop.schedule(end, at: loop.now + .milliseconds(50))
    loop.run()
    #expect(receiver.received == [[2]])
    target.close()
    sender.close()
  }
}
