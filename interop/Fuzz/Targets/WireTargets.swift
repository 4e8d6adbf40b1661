import QuicTransport

@testable import Tunnel

extension FuzzTarget {
  /// What stands in the tunnel's own messages.
  static let wire = [
    FuzzTarget(name: "control", family: .tunnel, run: control),
    FuzzTarget(name: "relay-control", family: .rendezvous, run: relayControl),
    FuzzTarget(name: "leases", family: .tokens, run: leases),
    FuzzTarget(name: "flow-header", family: .tunnel, run: flowHeader),
    FuzzTarget(name: "path-message", family: .tunnel, run: pathMessage),
    FuzzTarget(name: "frames", family: .carriers, run: frames),
    FuzzTarget(name: "ticket", family: .tickets, run: ticket),
  ]

  /// A control stream in pieces: its messages do not depend on the pieces, and what is decoded is
  /// encoded to something that decodes to the same.
  private static func control(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let step = 1 + Int(input.byte())
    let stream = input.remainder()
    var whole = ControlDecoder()
    whole.append(stream)
    var pieces = ControlDecoder()
    var position = 0
    while true {
      let expected = whole.next()
      var result = pieces.next()
      while result == .needsMore, position < stream.count {
        let end = min(position + step, stream.count)
        pieces.append(stream[position..<end])
        position = end
        result = pieces.next()
      }
      require(result == expected, "pieces change what a stream says")
      guard case .message(let message) = result else { return }
      checkRoundTrip(message)
    }
  }

  private static func checkRoundTrip(_ message: ControlMessage) {
    if case .unknown = message { return }
    var decoder = ControlDecoder()
    decoder.append(message.encoded)
    // Texts that are not UTF-8 are replaced and may outgrow a limit: then it is refused.
    guard case .message(let again) = decoder.next() else { return }
    require(again.encoded == message.encoded, "a message changes by being passed on")
  }

  /// The control stream of a relay: what is decoded is encoded to something that decodes to the same.
  private static func relayControl(_ bytes: UnsafeRawBufferPointer) {
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(Array(bytes))
    while case .message(let message) = decoder.next() {
      if case .unknown = message { continue }
      var again = MessageDecoder<RelayMessage>()
      again.append(message.encoded)
      guard case .message(let other) = again.next() else {
        return require(false, "a message cannot be passed on")
      }
      require(other.encoded == message.encoded, "a message changes by being passed on")
    }
  }

  /// A relay's file: what can be read is written to something that reads the same.
  private static func leases(_ bytes: UnsafeRawBufferPointer) {
    let now = Instant(nanoseconds: 1_000_000_000)
    func read(_ bytes: [UInt8]) -> LeaseBook? {
      try? LeaseText.decode(bytes, ports: 1...9_999, kept: .seconds(60), time: 1_000, now: now)
    }
    guard let book = read(Array(bytes)) else { return }
    let again = read(LeaseText.encode(book, time: 1_000, now: now))
    require(again == book, "leases change by being written")
  }

  private static func flowHeader(_ bytes: UnsafeRawBufferPointer) {
    reverseHeader(Array(bytes.prefix(FlowHeader.sizeMax)))
    publicHeader(Array(bytes.prefix(FlowHeader.sizeMax)))
    let stream = Array(bytes.prefix(FlowHeader.sizeMax))
    let result = FlowHeader.decode(stream)
    if case .header(let header, let count) = result {
      require(count <= stream.count, "a header longer than its stream")
      require(FlowHeader.decode(Array(stream.prefix(count))) == result, "more bytes change it")
      for short in 0..<count {
        require(
          FlowHeader.decode(Array(stream.prefix(short))) == .needsMore,
          "part of a header is not taken for one")
      }
      guard header.service.utf8.count <= ControlMessage.nameMax,
        (header.destination?.host.utf8.count ?? 0) <= Destination.hostMax
      else { return }
      guard case .header(let again, _) = FlowHeader.decode(header.encoded) else {
        return require(false, "a header does not decode what it encoded")
      }
      require(again == header, "a header changes by being passed on")
    } else if result == .needsMore {
      require(stream.count < FlowHeader.sizeMax, "a header has no end")
    }
  }

  private static func reverseHeader(_ stream: [UInt8]) {
    switch ReverseHeader.decode(stream) {
    case .header(let header, let count):
      require(count <= stream.count, "a header longer than its stream")
      let again = ReverseHeader.decode(header.encoded)
      require(
        again == .header(header, count: header.encoded.count),
        "a header changes by being passed on")
    case .needsMore: require(stream.count < FlowHeader.sizeMax, "a header has no end")
    case .malformed: break
    }
  }

  private static func publicHeader(_ stream: [UInt8]) {
    switch PublicHeader.decode(stream) {
    case .header(let header, let count):
      require(count <= stream.count, "a header longer than its stream")
      require(
        PublicHeader.decode(header.encoded) == .header(header, count: header.encoded.count),
        "a header changes by being passed on")
    case .needsMore: require(stream.count < FlowHeader.sizeMax, "a header has no end")
    case .malformed: break
    }
  }

  private static func pathMessage(_ bytes: UnsafeRawBufferPointer) {
    let key = SecretBytes([UInt8](repeating: 7, count: 32))
    // No stranger guesses 16 bytes; those who know the key are heard whatever they say.
    if PathMessage(bytes, key: key) != nil {
      require(bytes.count == PathMessage.byteCount, "a message of another size")
    }
    guard bytes.count >= PathMessage.byteCount - 16 else { return }
    var signed = Array(bytes.prefix(PathMessage.byteCount - 16))
    signed += Crypto.hmacSHA256(key: key, signed).prefix(16)
    signed.withUnsafeBytes { signed in
      guard let message = PathMessage(signed, key: key) else { return }
      require(message.encoded(key: key) == Array(signed), "a message changes by being passed on")
    }
  }

  /// The framing of TCP carriers: the same datagrams whatever the pieces.
  private static func frames(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let choice = input.byte()
    let stream = input.remainder()
    let step = 1 + Int(choice >> 1)
    let whole = datagrams(in: stream, step: max(1, stream.count), hasPreface: choice & 1 == 1)
    let pieces = datagrams(in: stream, step: step, hasPreface: choice & 1 == 1)
    require(whole.isRight == pieces.isRight, "pieces change whether a stream is right")
    // A fault ends the piece that it is in: what came before it in the same piece was handed out.
    require(whole.datagrams == pieces.datagrams, "pieces change the datagrams")
  }

  private static func datagrams(
    in stream: [UInt8], step: Int, hasPreface: Bool
  ) -> (datagrams: [[UInt8]], isRight: Bool) {
    var decoder = hasPreface ? CarrierDecoder() : CarrierDecoder(key: nil)
    var found: [[UInt8]] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      let verdict = stream[start..<min(start + step, stream.count)].withUnsafeBytes { piece in
        decoder.decode(piece) { event in
          if case .datagram(let datagram) = event { found.append(Array(datagram)) }
        }
      }
      if verdict != .goOn { return (found, false) }
    }
    return (found, true)
  }

  private static func ticket(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let ticket = try? Ticket(text) else { return }
    guard let again = try? Ticket(ticket.text) else {
      return require(false, "a ticket does not read what it wrote")
    }
    require(again.text == ticket.text, "a ticket changes by being passed on")
  }
}
