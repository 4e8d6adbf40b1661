internal import QuicTransport

/// SOCKS 5 (RFC 1928) with user names and passwords (RFC 1929), SOCKS 4 and 4a.
enum SocksParser {
  /// Where a SOCKS5 conversation stands.
  enum Stage {
    case greeting
    case credentials
    case request
  }

  /// Reads the next message of SOCKS5 from the front of `buffer`.
  static func read5(
    _ buffer: inout [UInt8], stage: Stage, credentials: ProxyCredentials?
  ) -> (ProxyParser.Step, Stage) {
    var reader = WireReader(buffer)
    guard let version = reader.byte() else { return (.needsMore, stage) }
    // The sub-negotiation of RFC 1929 has a version of its own.
    guard version == (stage == .credentials ? 1 : 5) else { return (.refuse([]), stage) }
    let result: (ProxyParser.Step, Stage)
    switch stage {
    case .greeting: result = greeting(&reader, credentials)
    case .credentials: result = subnegotiation(&reader, credentials)
    case .request: return (request5(&reader), stage)
    }
    if case .reply = result.0 { buffer.removeFirst(buffer.count - reader.count) }
    return result
  }

  private static func greeting(
    _ reader: inout WireReader, _ credentials: ProxyCredentials?
  ) -> (ProxyParser.Step, Stage) {
    guard let methods = reader.counted() else { return (.needsMore, .greeting) }
    let wanted: UInt8 = credentials == nil ? 0x00 : 0x02
    guard methods.contains(wanted) else { return (.refuse([5, 0xff]), .greeting) }
    return (.reply([5, wanted]), credentials == nil ? .request : .credentials)
  }

  private static func subnegotiation(
    _ reader: inout WireReader, _ credentials: ProxyCredentials?
  ) -> (ProxyParser.Step, Stage) {
    guard let user = reader.counted(), let password = reader.counted() else {
      return (.needsMore, .credentials)
    }
    let isRight = credentials?.matches(user: user, password: password) ?? true
    return isRight ? (.reply([1, 0]), .request) : (.refuse([1, 1]), .credentials)
  }

  private static func request5(_ reader: inout WireReader) -> ProxyParser.Step {
    guard let command = reader.byte(), reader.byte() != nil, let type = reader.byte() else {
      return .needsMore
    }
    // CONNECT and UDP ASSOCIATE: BIND has no use here.
    guard command == 1 || command == 3 else { return .refuse(ProxyDialect.socks5Reply(0x07)) }
    let host: String?
    switch type {
    case 1:
      guard let bytes = reader.raw(4) else { return .needsMore }
      host = text(ipv4: bytes)
    case 3:
      guard let name = reader.counted() else { return .needsMore }
      host = text(name)
    case 4:
      guard let bytes = reader.raw(16) else { return .needsMore }
      let address = SocketAddress(
        high: number(bytes.prefix(8)), low: number(bytes.suffix(8)), port: 0)
      host = address.host
    default: return .refuse(ProxyDialect.socks5Reply(0x08))
    }
    guard let port = reader.uint16() else { return .needsMore }
    // The host is where it says that its datagrams come from; we believe its connection instead.
    if command == 3 { return .associate(port: port) }
    guard let host, port > 0 else { return .refuse(ProxyDialect.socks5Reply(0x01)) }
    return .request(
      ProxyRequest(
        destination: Destination(host: host, port: port), dialect: .socks5,
        early: Array(reader.raw(reader.count) ?? [])))
  }

  /// Reads a request of SOCKS4, or of SOCKS4a, whose address 0.0.0.x announces a name.
  static func read4(
    _ buffer: inout [UInt8], credentials: ProxyCredentials?
  ) -> ProxyParser.Step {
    let refusal = ProxyParser.Step.refuse(ProxyDialect.socks4Reply(0x5b))
    // It knows no passwords.
    guard credentials == nil else { return refusal }
    var reader = WireReader(buffer)
    guard reader.byte() != nil, let command = reader.byte(), let port = reader.uint16(),
      let address = reader.raw(4)
    else { return .needsMore }
    guard command == 1, port > 0 else { return refusal }
    guard reader.terminated() != nil else { return reader.isTooLong ? refusal : .needsMore }
    var host: String? = text(ipv4: address)
    if address.dropLast().allSatisfy({ $0 == 0 }), address.last != 0 {
      guard let name = reader.terminated() else {
        return reader.isTooLong ? refusal : .needsMore
      }
      host = text(name)
    }
    guard let host else { return refusal }
    return .request(
      ProxyRequest(
        destination: Destination(host: host, port: port), dialect: .socks4,
        early: Array(reader.raw(reader.count) ?? [])))
  }

  /// A name, if it can be one; the sharing side judges it.
  private static func text(_ name: ArraySlice<UInt8>) -> String? {
    guard !name.isEmpty, name.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    return String(decoding: name, as: UTF8.self)
  }

  private static func text(ipv4 bytes: ArraySlice<UInt8>) -> String {
    bytes.map { String($0) }.joined(separator: ".")
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}

extension WireReader {
  /// A byte that counts, and as many bytes.
  fileprivate mutating func counted() -> ArraySlice<UInt8>? {
    guard let count = byte() else { return nil }
    return raw(Int(count))
  }

  /// Bytes up to a zero byte, which is dropped; nil while there is none, and for too many.
  fileprivate mutating func terminated() -> ArraySlice<UInt8>? {
    var copy = self
    var count = 0
    while count <= Self.fieldMax, let byte = copy.byte() {
      if byte == 0 {
        defer { _ = self.byte() }
        return raw(count)
      }
      count += 1
    }
    return nil
  }

  /// A field without its end is longer than any.
  fileprivate var isTooLong: Bool { count > Self.fieldMax }

  /// As for SOCKS5.
  private static let fieldMax = 255
}
