internal import QuicTransport

/// Told what happens to a carrier over a byte stream. Called on the loop.
protocol StreamCarrierOwner: AnyObject {
  /// Datagrams may be sent; its path may be used.
  func carrierReady(_ carrier: StreamCarrier)
  /// The carrier is gone. The last call.
  func carrierEnded(_ carrier: StreamCarrier, reason: String?)
}

/// Datagrams over TLS over TCP, framed in the way that the carrier's kind has (`CarrierEncoder`,
/// `CarrierDecoder`).
///
/// To the endpoint it is one more socket, with a path label of its own. The queue towards TCP is
/// short, because what waits here is delay: QUIC holds its packets back while it is full.
final class StreamCarrier: DatagramSocket {
  /// Of an accepted carrier: final when it is ready.
  private(set) var kind: CarrierKind
  /// Unique among the carriers of the endpoint.
  let number: UInt64
  weak var receiver: (any DatagramReceiver)?
  weak var owner: (any StreamCarrierOwner)?

  private let stream: TLSStream
  private let loop: any EventLoop
  /// What the dialling side sends first.
  private let opening: [UInt8]
  // Apart from each other: a datagram may be answered while the piece it came in is being decoded.
  private var decoder: CarrierDecoder
  private var encoder: CarrierEncoder
  private(set) var isReady = false
  private(set) var isBlocked = false
  private var isOver = false

  /// Takes over an accepted stream that has not begun its handshake.
  init(accepting stream: TLSStream, number: UInt64, loop: any EventLoop) {
    self.stream = stream
    self.number = number
    self.loop = loop
    kind = .tcp
    opening = []
    decoder = CarrierDecoder()
    encoder = CarrierEncoder(kind: .tcp, isServer: true)
    stream.delegate = self
  }

  /// Takes over a stream to `remote` that has not begun its handshake.
  init(
    dialling stream: TLSStream, kind: CarrierKind, remote: SocketAddress, number: UInt64,
    loop: any EventLoop
  ) {
    self.stream = stream
    self.number = number
    self.loop = loop
    self.kind = kind
    let key = kind == .webSocket ? WebSocketUpgrade.makeKey() : nil
    opening =
      key.map { WebSocketUpgrade.request(host: remote.description, key: $0) } ?? FrameHeader.preface
    decoder = CarrierDecoder(key: key)
    encoder = CarrierEncoder(kind: kind, isServer: false)
    stream.delegate = self
  }

  /// What the endpoint and the path manager know this carrier by, once it is ready.
  var path: NetworkPath { PathLabel.carrier(number, kind: kind) }

  var localAddress: SocketAddress { path.local }
  var provesSource: Bool { true }

  func sourceAddress(towards remote: SocketAddress) -> SocketAddress { path.local }

  func send(_ batch: DatagramBatch) -> SendResult {
    guard isReady, !isOver else { return .sent }
    var offset = 0
    while offset < batch.bytes.count {
      let size = min(batch.segmentSize, batch.bytes.count - offset)
      let datagram = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
      encoder.encode(datagram) { stream.write($0) }
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
    sayClose(code: Self.goingAway)
    stream.close(orderly: true)
  }

  /// Ends a WebSocket as RFC 6455 §7.1.1 asks for; the other kind has no word for it.
  private func sayClose(code: UInt16) {
    guard isReady, kind == .webSocket else { return }
    withUnsafeBytes(of: code.bigEndian) { code in
      encoder.encode(.close, code) { stream.write($0) }
    }
  }

  /// RFC 6455 §7.4.1.
  private static let goingAway: UInt16 = 1_001

  /// Beyond this, QUIC waits: at 100 Mbit/s it is 20 ms of queue.
  private static let queueMax = 256 * 1024
}

extension StreamCarrier: TLSStreamDelegate {
  func tlsStreamReady(_ stream: TLSStream) {
    guard !opening.isEmpty else { return }
    opening.withUnsafeBytes { stream.write($0) }
    stream.flush()
    if kind == .tcp { becomeReady(kind) }
  }

  func tlsStream(_ stream: TLSStream, received bytes: UnsafeRawBufferPointer) -> Int {
    var found = 0
    // RFC 6455 §5.5.3: of several pings the last one is answered.
    var ping: [UInt8]?
    let verdict = decoder.decode(bytes) { event in
      found += 1
      switch event {
      // The endpoint must know this carrier before it sees the first datagram.
      case .opened(let kind): becomeReady(kind)
      case .datagram(let datagram):
        receiver?.receive(
          ReceivedDatagram(bytes: datagram, path: path, ecn: .notCapable), now: loop.now)
      case .ping(let payload): ping = Array(payload)
      case .answer(let bytes): bytes.withUnsafeBytes { stream.write($0) }
      }
    }
    guard !isOver else { return found }
    // Who asks and does not read gets no more answers than fit.
    if let ping, stream.pendingCount <= Self.queueMax {
      ping.withUnsafeBytes { encoder.encode(.pong, $0) { stream.write($0) } }
    }
    switch verdict {
    case .goOn: stream.flush()
    case .foreign: end(orderly: false, "the peer does not follow the protocol")
    case .answered: end(orderly: true, "not a request for a carrier")
    case .closing(let code, let isViolation):
      sayClose(code: code)
      end(
        orderly: true, isViolation ? "the peer does not follow RFC 6455" : "the peer closed it")
    }
    return found
  }

  func tlsStreamWritable(_ stream: TLSStream) {
    guard isBlocked else { return }
    isBlocked = false
    receiver?.datagramSocketWritable(self)
  }

  func tlsStream(_ stream: TLSStream, ended reason: String?) {
    finish(reason)
  }

  private func becomeReady(_ kind: CarrierKind) {
    guard !isReady, !isOver else { return }
    self.kind = kind
    encoder.kind = kind
    isReady = true
    owner?.carrierReady(self)
  }

  private func end(orderly: Bool, _ reason: String) {
    stream.close(orderly: orderly)
    finish(reason)
  }

  private func finish(_ reason: String?) {
    guard !isOver else { return }
    isOver = true
    receiver = nil
    owner?.carrierEnded(self, reason: reason)
  }
}
