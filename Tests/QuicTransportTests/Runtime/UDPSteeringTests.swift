import Testing

@testable import QuicTransport

/// The kernel's own choice among several sockets at one port, on loopback.
@Suite("Steering of datagrams", .timeLimit(.minutes(1)))
struct UDPSteeringTests {
  /// Notes what came to one of the sockets.
  private final class Ear: DatagramReceiver {
    var received: [[UInt8]] = []
    let onDatagram: () -> Void

    init(onDatagram: @escaping () -> Void) { self.onDatagram = onDatagram }

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      received.append(Array(datagram.bytes))
      onDatagram()
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }

  private static let steering = DatagramSteering(firstByte: 0x2b, offset: 4, count: 3)

  private static func group(_ loop: EpollLoop, at address: SocketAddress) throws -> [UDPSocket] {
    let first = try UDPSocket(loop: loop, binding: address, bufferBytes: 1 << 20)
    try first.allowSharing(true)
    var sockets = [first]
    for _ in 1..<steering.count {
      sockets.append(
        try UDPSocket(loop: loop, opening: .sharing(first.localAddress), bufferBytes: 1 << 20))
    }
    try first.steer(by: steering)
    return sockets
  }

  private static func send(_ bytes: [UInt8], size: Int, to remote: SocketAddress, _ from: UDPSocket)
  {
    bytes.withUnsafeBytes { bytes in
      _ = from.send(
        DatagramBatch(
          bytes: bytes, segmentSize: size,
          path: NetworkPath(local: from.localAddress, remote: remote), ecn: .notCapable))
    }
  }

  @Test(
    "each byte leads to its socket, and whatever is not ours, or too short, to the first",
    arguments: [SocketAddress.loopbackIPv4, .any])
  func everyByte(address: SocketAddress) throws {
    let loop = try EpollLoop()
    let sockets = try Self.group(loop, at: address)
    let target = SocketAddress.loopbackIPv4.with(port: sockets[0].localAddress.port)
    var datagrams = (0...255).map { [0x2b, 0, 0, 0, UInt8($0), 1, 2, 3, 9] }
    // QUIC, STUN, path messages, and what ends before the byte.
    for first: UInt8 in [0x40, 0xc3, 0x00, 0x2a, 0x2c, 0xff] {
      datagrams.append([first, 0, 0, 0, 1, 0, 0, 0, 9])
    }
    datagrams += [[0x2b], [0x2b, 1, 1, 1], [0x2b, 0, 0, 0, 2]]
    var heard = 0
    let ears = sockets.map { _ in
      Ear {
        heard += 1
        if heard == datagrams.count { loop.stop() }
      }
    }
    for (socket, ear) in zip(sockets, ears) { socket.receiver = ear }
    // Several sources: the kernel's own choice would go by them.
    let clients = try (0..<5).map { _ in
      try UDPSocket(loop: loop, binding: .loopbackIPv4, bufferBytes: 1 << 20)
    }
    for (number, datagram) in datagrams.enumerated() {
      Self.send(datagram, size: datagram.count, to: target, clients[number % clients.count])
    }
    loop.run()
    for (index, ear) in ears.enumerated() {
      let expected = datagrams.filter { datagram in
        guard datagram.count > 4, datagram[0] == 0x2b else { return index == 0 }
        return Int(datagram[4]) % 3 == index
      }
      #expect(Set(ear.received) == Set(expected), "socket \(index)")
      for datagram in ear.received {
        #expect(datagram.withUnsafeBytes { Self.steering.index(of: $0) } == index)
      }
    }
    for socket in sockets.reversed() + clients { socket.close() }
  }

  @Test("a batch that stays one in the kernel goes whole to the socket of its first datagram")
  func batch() throws {
    let loop = try EpollLoop()
    let sockets = try Self.group(loop, at: .loopbackIPv4)
    var heard = 0
    let ears = sockets.map { _ in
      Ear {
        heard += 1
        if heard == 20 { loop.stop() }
      }
    }
    for (socket, ear) in zip(sockets, ears) { socket.receiver = ear }
    let client = try UDPSocket(loop: loop, binding: .loopbackIPv4, bufferBytes: 1 << 20)
    let part = [0x2b, 0, 0, 0, 5] + [UInt8](repeating: 1, count: 995)
    Self.send(
      [[UInt8]](repeating: part, count: 20).flatMap { $0 }, size: 1_000,
      to: sockets[0].localAddress, client)
    loop.run()
    #expect(ears.map(\.received.count) == [0, 0, 20])
    for socket in sockets.reversed() + [client] { socket.close() }
  }

  @Test("whoever has the port already is noticed, and sockets that nobody asked for are refused")
  func strangers() throws {
    let loop = try EpollLoop()
    let sockets = try Self.group(loop, at: .loopbackIPv4)
    let address = sockets[0].localAddress
    #expect(throws: RuntimeError.self) {
      try UDPSocket(loop: loop, binding: address, bufferBytes: 1 << 16)
    }
    for socket in sockets.reversed() { socket.close() }
    let plain = try UDPSocket(loop: loop, binding: address, bufferBytes: 1 << 16)
    #expect(throws: RuntimeError.self) {
      try UDPSocket(loop: loop, opening: .sharing(address), bufferBytes: 1 << 16)
    }
    plain.close()
  }
}
