public import QuicTransport

/// What stands behind the signature in a datagram of netpunch.
public enum NetpunchMessage: Equatable, Sendable {
  /// Peer to control node: here I am.
  case register(NetpunchSlot)
  /// Control node to peer: there is your partner.
  case info(NetpunchSlot, SocketAddress)
  /// Peer to peer: do you hear me? Never sent alone by the control node.
  case ping
  /// Peer to peer: I hear you.
  case pong
  /// Peer to peer: and I you; we are done.
  case close

  /// Reads a payload; nil for what netpunch ignores as well.
  ///
  /// `x`, `y` and `z` are letters of slots too: who reads decides. A peer takes them for ping, pong
  /// and close, a control node for slots.
  ///
  /// Netpunch looks up names in an address. We take numbers only: a message must not make us ask
  /// a name server of its choosing.
  public init?(_ payload: [UInt8], reader: Reader) {
    if payload.count == 1 {
      switch (reader, payload[0]) {
      case (.control, let letter):
        guard let slot = NetpunchSlot(letter) else { return nil }
        self = .register(slot)
      case (.peer, UInt8(ascii: "x")): self = .ping
      case (.peer, UInt8(ascii: "y")): self = .pong
      case (.peer, UInt8(ascii: "z")): self = .close
      case (.peer, _): return nil
      }
      return
    }
    guard reader == .peer else { return nil }
    let fields = payload.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
    guard fields.count == 3, fields[0].elementsEqual("i".utf8), fields[1].count == 1,
      let slot = fields[1].first.flatMap(NetpunchSlot.init),
      let address = SocketAddress(hostAndPort: String(decoding: fields[2], as: UTF8.self))
    else { return nil }
    self = .info(slot, address)
  }

  /// The bytes behind the signature.
  public var payload: [UInt8] {
    switch self {
    case .register(let slot): [slot.letter]
    case .info(let slot, let address): Array("i|\(slot)|\(address)".utf8)
    case .ping: [UInt8(ascii: "x")]
    case .pong: [UInt8(ascii: "y")]
    case .close: [UInt8(ascii: "z")]
    }
  }

  /// Who reads a message.
  public enum Reader: Sendable {
    case control
    case peer
  }
}

extension SocketAddress {
  /// Parses `192.0.2.1:5000` or `[2001:db8::1]:5000`, numbers only.
  init?(hostAndPort text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    var host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
      let port = UInt16(digits)
    else { return nil }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    self.init(String(host), port: port)
  }

  /// Whether a datagram can be sent there to one receiver: not to port 0, to nobody in particular,
  /// to a group (224.0.0.0/4, ff00::/8) or to everybody (255.255.255.255).
  var isUnicast: Bool {
    guard port != 0, !isUnspecified else { return false }
    if let ipv4 { return ipv4 >> 28 != 0xe && ipv4 != .max && ipv4 >> 24 != 0 }
    return high >> 56 != 0xff
  }

  /// Whether the address means the same machine wherever it is used.
  var isGlobal: Bool { !isLoopback && !isLinkLocal && !isPrivate }

  /// Whether both are addresses of one machine, ports aside.
  func hasHost(of other: SocketAddress) -> Bool {
    with(port: 0) == other.with(port: 0)
  }
}
