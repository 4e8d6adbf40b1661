internal import CNgtcp2
import Glibc
import QuicTransport
import Testing

@Suite("UDP socket that is handed over")
struct UDPSocketHandoverTests {
  @Test("a socket that is handed over is bound, blocking, kept on exec and plain, and gone here")
  func handOver() throws {
    let loop = try EpollLoop()
    let socket = try UDPSocket(
      loop: loop, binding: .loopbackIPv4, bufferBytes: 1 << 16)
    let descriptor = try #require(socket.handOver())
    defer { close(descriptor) }
    #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK == 0)
    #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0)
    #expect(option(descriptor, Int32(IPPROTO_IP), IP_PKTINFO) == 0)
    #expect(option(descriptor, Int32(IPPROTO_IP), IP_RECVTOS) == 0)
    #expect(option(descriptor, Int32(IPPROTO_UDP), 104) == 0, "UDP_GRO")
    var name = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutableBytes(of: &name) { bytes in
      getsockname(
        descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
    }
    #expect(result == 0)
    #expect(UInt16(bigEndian: name.sin_port) == socket.localAddress.port)
    #expect(socket.handOver() == nil)
  }

  private func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, level, name, &value, &length)
    return value
  }
}
