internal import QuicTransport

/// One program's UDP relay (RFC 1928 §7): datagrams from its address become those of a UDP flow.
///
///     program --TCP--> (its end is ours)
///     program <--UDP, with a SocksDatagram header--> relay socket <--> flow, begun when needed
final class SocksAssociation: DatagramEnd {
  weak var flow: DatagramFlow?
  /// When it moved something last.
  private(set) var lastUsed: Instant
  private let program: any StreamSocket
  private let relay: any DatagramSocket
  private unowned let owner: SocksAssociations
  /// Where the program's datagrams come from; port 0 until the first.
  private var source: SocketAddress
  /// The way back to it, once it has sent something.
  private var path: NetworkPath?
  private var bytesLeft = SocksAssociation.bytesMax
  private var isOver = false

  /// Takes both sockets over; `start` answers the program.
  init(
    program: any StreamSocket, relay: any DatagramSocket, source: SocketAddress,
    owner: SocksAssociations
  ) {
    self.program = program
    self.relay = relay
    self.source = source
    self.owner = owner
    lastUsed = owner.loop.now
  }

  /// Of the relay.
  var port: UInt16 { relay.localAddress.port }

  func start() {
    relay.receiver = self
    program.handler = self
    guard program.accepts(ProxyDialect.socks5Reply(associatedAt: relay.localAddress)) else {
      return end()
    }
    watchProgram()
  }

  /// Ends it; safe to call again.
  func end() {
    guard !isOver else { return }
    isOver = true
    owner.forget(self)
    flow?.close()
    // What was gathered for it leaves before the socket goes.
    owner.gather.flush()
    relay.close()
    program.close(resetting: false)
  }

  /// Whatever the program says is of no meaning, but its end is.
  private func watchProgram() {
    withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 1) { buffer in
      while !isOver {
        switch program.read(into: buffer) {
        case .moved(let count):
          bytesLeft -= count
          if bytesLeft <= 0 { end() }
        case .blocked: return
        case .ended, .failed: end()
        }
      }
    }
  }

  /// A program has nothing to say here; one that goes on is no SOCKS client.
  private static let bytesMax = 64 * 1024
}

extension SocksAssociation: DatagramReceiver {
  /// From the program.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let remote = datagram.path.remote
    // RFC 1928 §7: from any other address they are dropped. What makes no sense fixes no port.
    guard remote == source || source.port == 0 && remote.with(port: 0) == source,
      let body = SocksDatagram.body(of: datagram.bytes)
    else { return }
    source = remote
    path = datagram.path
    lastUsed = now
    // Idle ones end, and those of a session that was lost: the next datagram begins another.
    let flow = self.flow ?? owner.openFlow(self)
    flow?.send(body)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}

extension SocksAssociation {
  /// From the peer.
  func send(_ payload: UnsafeRawBufferPointer) -> Bool {
    guard let path, !isOver else { return false }
    lastUsed = owner.loop.now
    let count = SocksDatagram.prefixSize + payload.count
    guard count <= DatagramHeader.payloadMax else { return false }
    return withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) { memory in
      guard let datagram = SocksDatagram.datagram(payload, in: memory) else { return false }
      return owner.gather.send(datagram, through: relay, on: path)
    }
  }

  /// The flow is over; the next datagram begins another.
  func close() {
    flow = nil
  }
}

extension SocksAssociation: StreamSocketHandler {
  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    end()
  }

  func streamSocketReady(_ readiness: Readiness) {
    watchProgram()
  }
}
