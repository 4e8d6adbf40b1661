internal import QuicTransport
internal import Tunnel

/// An HTTP proxy as users write it: `http://user:password@host:port`, or `none`.
enum ProxyURL: Equatable, Sendable {
  /// Go without one, whatever the environment says.
  case none
  /// The proxy's place, and `user:password` if they stood there.
  case http(HostPort, credentials: String?)

  /// Reads a value; a problem never shows it, since a password may stand in it.
  static func parse(_ text: String) throws(ValueProblem) -> ProxyURL {
    guard text != "none" else { return .none }
    var rest = text[...]
    if let scheme = text.firstRange(of: "://") {
      guard text[..<scheme.lowerBound].lowercased() == "http" else {
        throw ValueProblem(
          String(text[..<scheme.upperBound]), "is no kind of proxy that qtun speaks to",
          fix: "name an HTTP proxy, such as http://proxy:3128, or none")
      }
      rest = text[scheme.upperBound...]
    }
    if rest.hasSuffix("/") { rest.removeLast() }
    var credentials: String?
    if let at = rest.lastIndex(of: "@") {
      credentials = try decode(rest[..<at])
      rest = rest[rest.index(after: at)...]
    }
    // RFC 3986 §3.2.3: a port that is left out is the scheme's.
    let hasPort = rest.hasPrefix("[") ? rest.contains("]:") : rest.contains(":")
    let place = try HostPort.parse(hasPort ? String(rest) : "\(rest):80", rule: .service)
    return .http(place, credentials: credentials)
  }

  /// RFC 3986 §2.1: a colon or an at sign in a password stands there as %3A or %40.
  private static func decode(_ text: Substring) throws(ValueProblem) -> String {
    let problem = ValueProblem(
      "the part before @", "is not USER:PASSWORD",
      fix: "write special characters as their percent codes, such as %40 for @")
    guard text.contains(":"), text.hasPrefix(":") == false else { throw problem }
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { throw problem }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension ValueParser where Value == ProxyURL {
  /// The place of an HTTP proxy.
  static let proxy = ValueParser { (text) throws(ValueProblem) in try ProxyURL.parse(text) }
}

/// Which proxy a run goes through, and where from that was learnt.
struct ProxyChoice: Equatable, Sendable {
  /// The proxy.
  let url: ProxyURL
  /// The word of the command line that held it, to be hidden; nil if it came from the environment.
  let word: String?
  /// Peers that are dialled without it: the addresses and ranges of NO_PROXY.
  let exceptions: [AddressRange]

  /// What `--proxy` says, else HTTPS_PROXY or https_proxy with NO_PROXY, as other programs read
  /// them.
  ///
  /// - Parameter word: the value of `--proxy`, if it was given.
  init?(word: String?, environment: Environment) throws(ValueProblem) {
    guard let text = word ?? Self.variables.lazy.compactMap({ environment[$0] }).first else {
      return nil
    }
    let url = try ProxyURL.parse(text)
    if case .none = url { return nil }
    self.url = url
    self.word = word
    let list = environment["NO_PROXY"] ?? environment["no_proxy"] ?? ""
    exceptions = word == nil ? Self.loopback + Self.ranges(list) : []
  }

  /// In the order of precedence.
  static let variables = ["HTTPS_PROXY", "https_proxy"]

  /// The addresses in a list such as `localhost,192.0.2.0/24,.example.org`. Names say nothing here:
  /// a ticket holds addresses.
  private static func ranges(_ list: String) -> [AddressRange] {
    list.split(whereSeparator: { $0 == "," || $0.isWhitespace }).flatMap {
      entry -> [AddressRange] in
      if entry == "*" { return everything }
      let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
      let host = parts[0].drop { $0 == "[" }.prefix { $0 != "]" }
      guard parts.count <= 2, let address = SocketAddress(String(host), port: 0) else { return [] }
      let width = address.isIPv4 ? 32 : 128
      guard let bits = parts.count == 2 ? Int(parts[1]) : width else { return [] }
      return AddressRange(address, bits: bits).map { [$0] } ?? []
    }
  }

  private static let everything = [
    AddressRange(.anyIPv4, bits: 0), AddressRange(.any, bits: 0),
  ].compactMap { $0 }
  /// No proxy of the environment can mean this machine's own addresses.
  private static let loopback = [
    AddressRange(.loopbackIPv4, bits: 8),
    AddressRange(SocketAddress(high: 0, low: 1, port: 0), bits: 128),
  ].compactMap { $0 }
}
