import QuicTransport

@testable import Tunnel

extension FuzzTarget {
  /// What stands in the tunnel's own messages.
  static let wire = [
    FuzzTarget(name: "control", run: control),
    FuzzTarget(name: "flow-header", run: flowHeader),
    FuzzTarget(name: "path-message", run: pathMessage),
    FuzzTarget(name: "frames", run: frames),
    FuzzTarget(name: "ticket", run: ticket),
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

  private static func flowHeader(_ bytes: UnsafeRawBufferPointer) {
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
