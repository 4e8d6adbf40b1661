import Testing

@testable import QuicTransport

/// Sockets of the kernel towards programs, on loopback.
@Suite("UDP socket for programs")
struct UDPSocketTests {
  /// What a socket was told, until it has heard enough.
  private final class Ear: DatagramReceiver {
    var received: [[UInt8]] = []
    var locals: [SocketAddress] = []
    var refusals = 0
    private let loop: EpollLoop
    private let enough: (Ear) -> Bool

    init(loop: EpollLoop, until enough: @escaping (Ear) -> Bool) {
      self.loop = loop
      self.enough = enough
    }

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      received.append(Array(datagram.bytes))
      locals.append(datagram.path.local)
      if enough(self) { loop.stop() }
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}

    func datagramSocketRefused(_ socket: any DatagramSocket) {
      refusals += 1
      if enough(self) { loop.stop() }
    }
  }

  private static func send(
    _ bytes: [UInt8], size: Int, to remote: SocketAddress, through socket: UDPSocket
  ) {
    bytes.withUnsafeBytes { bytes in
      _ = socket.send(
        DatagramBatch(
          bytes: bytes, segmentSize: size,
          path: NetworkPath(local: socket.localAddress, remote: remote), ecn: .notCapable))
    }
  }

  @Test("datagrams of every size pass, empty ones and the largest too", .timeLimit(.minutes(1)))
  func sizes() throws {
    let loop = try EpollLoop()
    let sizes = [0, 1, 1_500, 65_507, 0, 2]
    let ear = Ear(loop: loop) { $0.received.count == sizes.count }
    let server = try UDPSocket(
      loop: loop, opening: .programs(.loopbackIPv4), bufferBytes: 1 << 20)
    server.receiver = ear
    let client = try UDPSocket(
      loop: loop, opening: .target(server.localAddress), bufferBytes: 1 << 20)
    for size in sizes {
      Self.send(
        [UInt8](repeating: 7, count: size), size: size, to: server.localAddress, through: client)
    }
    loop.run()
    #expect(ear.received.map(\.count) == sizes)
    // Bound to one address, it still tells which one was written to.
    #expect(ear.locals.allSatisfy { $0 == server.localAddress })
    client.close()
    server.close()
  }

  @Test("a batch leaves as datagrams of its size, the last one shorter", .timeLimit(.minutes(1)))
  func batch() throws {
    let loop = try EpollLoop()
    let ear = Ear(loop: loop) { $0.received.count == 4 }
    let server = try UDPSocket(
      loop: loop, opening: .programs(.loopbackIPv4), bufferBytes: 1 << 20)
    server.receiver = ear
    let client = try UDPSocket(
      loop: loop, opening: .target(server.localAddress), bufferBytes: 1 << 20)
    // A connected socket goes to its target, whatever the path says.
    Self.send([UInt8](0..<100), size: 30, to: .any, through: client)
    loop.run()
    #expect(ear.received.map(\.count) == [30, 30, 30, 10])
    #expect(ear.received.flatMap { $0 } == [UInt8](0..<100))
    client.close()
    server.close()
  }

  @Test("a connected socket hears that nobody listens, and goes on", .timeLimit(.minutes(1)))
  func refused() throws {
    let loop = try EpollLoop()
    let gone = try UDPSocket(
      loop: loop, opening: .programs(.loopbackIPv4), bufferBytes: 65_536)
    let address = gone.localAddress
    gone.close()
    let ear = Ear(loop: loop) { $0.refusals == 1 }
    let client = try UDPSocket(loop: loop, opening: .target(address), bufferBytes: 65_536)
    client.receiver = ear
    Self.send([1], size: 1, to: address, through: client)
    loop.run()
    #expect(ear.refusals == 1)
    client.close()
  }
}
