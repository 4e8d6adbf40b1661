internal import CNgtcp2

/// How the kernel chooses among several sockets at one port (SO_REUSEPORT and a program in classic
/// BPF): by a byte that we have put into what peers send, so that a peer whose address changes stays
/// with its socket. The sockets count in the order in which they were bound.
public struct DatagramSteering: Equatable, Sendable {
  /// What steered datagrams begin with; all others are for the first socket.
  public let firstByte: UInt8
  /// Where the byte is that names the socket.
  public let offset: Int
  /// The number of sockets, which that byte is taken modulo.
  public let count: Int

  /// - Parameter count: 1 to 256.
  public init(firstByte: UInt8, offset: Int, count: Int) {
    precondition((1...256).contains(count) && offset > 0)
    self.firstByte = firstByte
    self.offset = offset
    self.count = count
  }

  /// The socket that a datagram is for; the kernel decides in the same way, but for datagrams that
  /// it has coalesced (GRO) it decides once, by the first.
  @inline(__always)
  public func index(of datagram: UnsafeRawBufferPointer) -> Int {
    guard datagram.count > offset, datagram[0] == firstByte else { return 0 }
    return Int(datagram[offset]) % count
  }
}

extension UDPSocket {
  /// Allows more sockets at this one's address from now on (`Opening.sharing`), or no longer.
  ///
  /// Called once it is bound: then whoever had the port before is noticed, which the kernel would
  /// otherwise take for one of ours.
  public func allowSharing(_ isAllowed: Bool) throws(RuntimeError) {
    guard let raw = rawDescriptor else { return }
    let result = qtun_udp_share_port(raw, isAllowed)
    if result < 0 { throw .system("setsockopt SO_REUSEPORT", -result) }
  }

  /// Steers what arrives at this socket's address, for all sockets there. Called when all are bound.
  public func steer(by steering: DatagramSteering) throws(RuntimeError) {
    guard let raw = rawDescriptor else { return }
    let result = qtun_udp_steer(
      raw, steering.firstByte, UInt32(steering.offset), UInt32(steering.count))
    if result < 0 { throw .system("setsockopt SO_ATTACH_REUSEPORT_CBPF", -result) }
  }
}
