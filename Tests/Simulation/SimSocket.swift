public import QuicTransport

/// A UDP socket on a `SimNetwork`, optionally behind an address translator.
public final class SimSocket: DatagramSocket {
  public let localAddress: SocketAddress
  /// What others see: `localAddress`, or what `rebind` made of it.
  public private(set) var publicAddress: SocketAddress
  public weak var receiver: (any DatagramReceiver)?
  public private(set) var isBlocked = false
  /// As if it were a carrier over TCP.
  public var provesSource = false

  private weak var network: SimNetwork?
  private var blocksUntil: Instant?
  private var kept: [SimDatagram] = []
  private var isClosed = false

  init(network: SimNetwork, localAddress: SocketAddress) {
    self.network = network
    self.localAddress = localAddress
    publicAddress = localAddress
  }

  public func send(_ batch: DatagramBatch) -> SendResult {
    precondition(!isBlocked, "nothing may be sent while blocked")
    precondition(batch.segmentSize > 0 || batch.bytes.isEmpty, "no size to cut by")
    guard !isClosed, let network else { return .sent }
    let datagrams = split(batch)
    if let blocksUntil, blocksUntil > network.loop.now {
      isBlocked = true
      kept = datagrams
      return .blocked
    }
    for datagram in datagrams { network.transmit(datagram) }
    return .sent
  }

  /// Sends one datagram that dies after so many routers.
  public func send(_ bytes: [UInt8], to destination: SocketAddress, hopLimit: Int = 64) {
    guard !isClosed else { return }
    network?.transmit(
      SimDatagram(
        bytes: bytes, from: publicAddress, to: destination, ecn: .notCapable, hopLimit: hopLimit))
  }

  public func sourceAddress(towards remote: SocketAddress) -> SocketAddress { localAddress }

  public func close() {
    guard !isClosed else { return }
    isClosed = true
    receiver = nil
    network?.unbind(self)
  }

  /// The translator forgets the binding: what we send comes from `address` from now on, and what is
  /// sent to the old one is lost.
  public func rebind(to address: SocketAddress) {
    network?.move(self, from: publicAddress, to: address)
    publicAddress = address
  }

  /// Makes the next send within `duration` find a full buffer, until it is over.
  public func block(for duration: Duration) {
    guard let network else { return }
    let end = network.loop.now + duration
    blocksUntil = end
    network.loop.after(duration) { [weak self] in
      guard let self, blocksUntil == end else { return }
      unblock()
    }
  }

  func receive(_ datagram: SimDatagram, now: Instant) {
    let path = NetworkPath(local: localAddress, remote: datagram.from)
    datagram.bytes.withUnsafeBytes { bytes in
      receiver?.receive(ReceivedDatagram(bytes: bytes, path: path, ecn: datagram.ecn), now: now)
    }
  }

  private func unblock() {
    blocksUntil = nil
    guard isBlocked else { return }
    isBlocked = false
    for datagram in kept { network?.transmit(datagram) }
    kept = []
    receiver?.datagramSocketWritable(self)
  }

  private func split(_ batch: DatagramBatch) -> [SimDatagram] {
    // An empty datagram is one as well.
    stride(from: 0, to: max(1, batch.bytes.count), by: max(1, batch.segmentSize)).map { start in
      let end = min(start + batch.segmentSize, batch.bytes.count)
      return SimDatagram(
        bytes: Array(batch.bytes[start..<end]), from: publicAddress, to: batch.path.remote,
        ecn: batch.ecn, hopLimit: batch.hopLimit.map(Int.init) ?? 64)
    }
  }
}
