internal import QuicTransport

/// Told what happens to a carrier over a byte stream. Called on the loop.
protocol StreamCarrierOwner: AnyObject {
  /// Datagrams may be sent; its path may be used.
  func carrierReady(_ carrier: StreamCarrier)
  /// The carrier is gone. The last call.
  func carrierEnded(_ carrier: StreamCarrier, reason: String?)
}

/// Datagrams over TLS over TCP, each with its length in front (`FrameDecoder`).
///
/// To the endpoint it is one more socket, with a path label of its own. The queue towards TCP is
/// short, because what waits here is delay: QUIC holds its packets back while it is full.
final class StreamCarrier: DatagramSocket {
  let kind: CarrierKind
  /// What the endpoint and the path manager know this carrier by.
  let path: NetworkPath
  weak var receiver: (any DatagramReceiver)?
  weak var owner: (any StreamCarrierOwner)?

  private let stream: TLSStream
  private let isServer: Bool
  private let loop: any EventLoop
  private var decoder: FrameDecoder
  private(set) var isReady = false
  private(set) var isBlocked = false
  private var isOver = false

  /// Takes over a stream that has not begun its handshake.
  init(
    stream: TLSStream, kind: CarrierKind, isServer: Bool, number: UInt64, loop: any EventLoop
  ) {
    self.stream = stream
    self.kind = kind
    decoder = FrameDecoder(expectsPreface: isServer)
    self.isServer = isServer
    self.loop = loop
    path = PathLabel.carrier(number)
    stream.delegate = self
  }

  var localAddress: SocketAddress { path.local }

  func sourceAddress(towards remote: SocketAddress) -> SocketAddress { path.local }

  func send(_ batch: DatagramBatch) -> SendResult {
    guard isReady, !isOver else { return .sent }
    var offset = 0
    while offset < batch.bytes.count {
      let size = min(batch.segmentSize, batch.bytes.count - offset)
      let datagram = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
      FrameEncoder.encode(datagram) { stream.write($0) }
      offset += size
    }
    stream.flush()
    guard stream.pendingCount > Self.queueMax else { return .sent }
    isBlocked = true
    return .blocked
  }

  func close() {
    guard !isOver else { return }
    isOver = true
    stream.close(orderly: true)
  }

  /// Beyond this, QUIC waits: at 100 Mbit/s it is 20 ms of queue.
  private static let queueMax = 256 * 1024
}

extension StreamCarrier: TLSStreamDelegate {
  func tlsStreamReady(_ stream: TLSStream) {
    if !isServer {
      FrameEncoder.preface.withUnsafeBytes { stream.write($0) }
      stream.flush()
    }
    becomeReadyIfOpen()
  }

  func tlsStream(_ stream: TLSStream, received bytes: UnsafeRawBufferPointer) {
    // The endpoint must know this carrier before it sees the first datagram.
    let isIntact = decoder.decode(bytes) { datagram in
      if !isReady { becomeReady() }
      receiver?.receive(
        ReceivedDatagram(bytes: datagram, path: path, ecn: .notCapable), now: loop.now)
    }
    guard isIntact else {
      self.stream.close(orderly: false)
      finish("the peer does not follow the protocol")
      return
    }
    stream.flush()
    becomeReadyIfOpen()
  }

  func tlsStreamWritable(_ stream: TLSStream) {
    guard isBlocked else { return }
    isBlocked = false
    receiver?.datagramSocketWritable(self)
  }

  func tlsStream(_ stream: TLSStream, ended reason: String?) {
    finish(reason)
  }

  private func becomeReadyIfOpen() {
    guard decoder.isOpen else { return }
    becomeReady()
  }

  private func becomeReady() {
    guard !isReady, !isOver else { return }
    isReady = true
    owner?.carrierReady(self)
  }

  private func finish(_ reason: String?) {
    guard !isOver else { return }
    isOver = true
    receiver = nil
    owner?.carrierEnded(self, reason: reason)
  }
}
