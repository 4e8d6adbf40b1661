internal import CNgtcp2
import Glibc
import Testing

@testable import QuicTransport

/// The hop limit (TTL) of one datagram, as the kernel of the receiver sees it.
@Suite("Hop limits on real sockets")
struct HopLimitTests {
  /// A plain socket of the kernel that tells the hop limit of what it receives.
  private struct Receiver: ~Copyable {
    let raw: Int32
    let address: SocketAddress

    init(isIPv4: Bool) throws {
      raw = socket(isIPv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue), 0)
      try #require(raw >= 0)
      var yes: Int32 = 1
      let size = socklen_t(MemoryLayout<Int32>.size)
      let (level, option) =
        isIPv4
        ? (Int32(IPPROTO_IP), IP_RECVTTL) : (Int32(IPPROTO_IPV6), IPV6_RECVHOPLIMIT)
      try #require(setsockopt(raw, level, option, &yes, size) == 0)
      var patience = timeval(tv_sec: 10, tv_usec: 0)
      setsockopt(
        raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
      var name = sockaddr_storage()
      var length = socklen_t(
        isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
      let (descriptor, count) = (raw, length)
      let port: UInt16 = try withUnsafeMutableBytes(of: &name) { bytes in
        if isIPv4 {
          var address = sockaddr_in()
          address.sin_family = sa_family_t(AF_INET)
          address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
          bytes.storeBytes(of: address, as: sockaddr_in.self)
        } else {
          var address = sockaddr_in6()
          address.sin6_family = sa_family_t(AF_INET6)
          address.sin6_addr = in6addr_loopback
          bytes.storeBytes(of: address, as: sockaddr_in6.self)
        }
        // SAFETY: the storage is large enough for every family, and outlives the calls.
        let pointer = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
        try #require(bind(descriptor, pointer, count) == 0)
        try #require(getsockname(descriptor, pointer, &length) == 0)
        // The port stands at the same place in both.
        return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
      }
      address = (isIPv4 ? SocketAddress.loopbackIPv4 : SocketAddress(high: 0, low: 1, port: 0))
        .with(port: port)
    }

    deinit { close(raw) }

    /// The hop limit of the next datagram.
    func next() throws -> Int32 {
      var payload = [UInt8](repeating: 0, count: 64)
      var control = [UInt8](repeating: 0, count: 128)
      return try payload.withUnsafeMutableBytes { payload in
        try control.withUnsafeMutableBytes { control in
          var vector = iovec(iov_base: payload.baseAddress, iov_len: payload.count)
          return try withUnsafeMutablePointer(to: &vector) { vector in
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = control.baseAddress
            message.msg_controllen = control.count
            try #require(recvmsg(raw, &message, 0) >= 0)
            // One control message was asked for; its value stands behind its head.
            try #require(message.msg_controllen >= MemoryLayout<cmsghdr>.size + 4)
            return control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: Int32.self)
          }
        }
      }
    }
  }

  @Test(
    "it holds for the one datagram that it was given for, and the next has the system's again",
    .timeLimit(.minutes(5)), arguments: [(true, true), (false, true), (false, false)])
  func setAndReset(isSocketIPv4: Bool, isReceiverIPv4: Bool) throws {
    let loop = try EpollLoop()
    let receiver = try Receiver(isIPv4: isReceiverIPv4)
    let sender = try UDPSocket(
      loop: loop, binding: isSocketIPv4 ? .anyIPv4 : .any, bufferBytes: 1 << 16)
    defer { sender.close() }
    var seen: [Int32] = []
    for (hopLimit, ecn) in [
      (nil, ECN.notCapable), (3, .notCapable), (nil, .notCapable), (5, .capable0), (nil, .capable0),
    ] as [(UInt8?, ECN)] {
      [UInt8](repeating: 1, count: 16).withUnsafeBytes { bytes in
        var batch = DatagramBatch(
          bytes: bytes, segmentSize: bytes.count,
          path: NetworkPath(
            local: sender.sourceAddress(towards: receiver.address), remote: receiver.address),
          ecn: ecn)
        batch.hopLimit = hopLimit
        _ = sender.send(batch)
      }
      seen.append(try receiver.next())
    }
    let system = seen[0]
    #expect(system > 5 && seen == [system, 3, system, 5, system])
  }
}
