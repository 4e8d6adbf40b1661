import QuicTransport

@testable import HolePunch
@testable import Tunnel

extension FuzzTarget {
  /// What relays, proxies and routers say, and what stands in lists.
  static let carriers = [
    FuzzTarget(name: "websocket", family: .carriers, run: websocket),
    FuzzTarget(name: "relayed", family: .rendezvous, run: relayed),
    FuzzTarget(name: "upnp", family: .gateways, run: upnp),
    FuzzTarget(name: "allow-list", family: .tickets, run: allowList),
  ]

  /// Frames of either side, in pieces and at once.
  private static func websocket(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let choice = input.byte()
    let stream = input.remainder()
    let expectsMask = choice & 1 == 1
    let whole = messages(in: stream, step: max(1, stream.count), expectsMask)
    let pieces = messages(in: stream, step: 1 + Int(choice >> 1), expectsMask)
    require(whole.messages == pieces.messages, "pieces change the messages")
    require(whole.isRight == pieces.isRight, "pieces change whether a stream is right")
    require(whole.messages.reduce(0) { $0 + $1.count } <= stream.count, "bytes out of nothing")
  }

  private static func messages(
    in stream: [UInt8], step: Int, _ expectsMask: Bool
  ) -> (messages: [[UInt8]], isRight: Bool) {
    var decoder = WebSocketDecoder(expectsMask: expectsMask)
    var found: [[UInt8]] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      let verdict = stream[start..<min(start + step, stream.count)].withUnsafeBytes { piece in
        decoder.decode(piece) { event in
          switch event {
          case .datagram(let datagram): found.append(Array(datagram))
          case .ping(let payload): found.append(Array(payload))
          }
        }
      }
      if verdict != .goOn { return (found, false) }
    }
    return (found, true)
  }

  /// Datagrams between a node and its relay: read as they were written, and by those who hold the key
  /// of the leg alone.
  private static func relayed(_ bytes: UnsafeRawBufferPointer) {
    if let header = RelayHeader(bytes) {
      require(
        header.encoded.elementsEqual(bytes.prefix(RelayHeader.byteCount)),
        "a header changes by being passed on")
    }
    let key = SecretBytes([UInt8](repeating: 7, count: 32))
    require(BindMessage(bytes, key: key) == nil, "a stranger guessed a tag")
    let tagCount = 16
    guard bytes.count >= BindMessage.byteCount - tagCount else { return }
    var signed = Array(bytes.prefix(BindMessage.byteCount - tagCount))
    signed += Crypto.hmacSHA256(key: key, signed).prefix(tagCount)
    signed.withUnsafeBytes { signed in
      guard let message = BindMessage(signed, key: key) else { return }
      require(message.encoded(key: key) == Array(signed), "a message changes by being passed on")
    }
  }

  /// Answers of a router's UPnP: nothing in them leads to anybody else, or ends a request line.
  private static func upnp(_ bytes: UnsafeRawBufferPointer) {
    guard let gateway = SocketAddress("192.168.1.1", port: 80), let choice = bytes.first else {
      return
    }
    let answer = Array(bytes.dropFirst())
    var places: [UPnPMessage.Location] = []
    if let place = UPnPMessage.location(answer, gateway: gateway) { places.append(place) }
    if case .complete(let response) = HTTPResponse.read(answer, isAtEnd: choice & 1 == 1) {
      require(response.body.count <= answer.count, "a body longer than its stream")
    }
    let base = UPnPMessage.Location(server: gateway, path: "/root.xml")
    places += UPnPMessage.services(answer, at: base).map(\.control)
    for place in places {
      require(place.server.hasSameHost(as: gateway), "a place of somebody else")
      require(
        place.path.hasPrefix("/") && place.path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f },
        "a path that ends its line")
    }
    var scanner = XMLScanner(answer)
    var elements = 0
    while scanner.next() != nil { elements += 1 }
    require(elements <= answer.count / 2, "elements out of nothing")
  }

  /// Identities in a file: whoever is let in is written there.
  private static func allowList(_ bytes: UnsafeRawBufferPointer) {
    guard let keys = try? AllowList.parse(Array(bytes)) else { return }
    let text = String(decoding: bytes, as: UTF8.self).lowercased()
    for key in keys { require(text.contains(key.description), "\(key) is let in by nobody") }
  }
}
