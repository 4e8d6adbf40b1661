import Glibc

/// A host and a port, as users write them: `3000`, `host:3000`, `192.0.2.1:80`, `[2001:db8::1]:80`.
struct HostPort: Equatable, Sendable, CustomStringConvertible {
  /// The machine.
  let host: Host
  /// The port; 0, where it is allowed, asks the system for a free one.
  let port: UInt16

  /// The form that `parse` reads, with IPv6 addresses in brackets.
  var description: String {
    switch host {
    case .name(let text), .ipv4(let text): "\(text):\(port)"
    case .ipv6(let text): "[\(text)]:\(port)"
    }
  }

  /// A name or an address.
  enum Host: Equatable, Sendable {
    /// A name to look up.
    case name(String)
    /// An IPv4 address in dotted form.
    case ipv4(String)
    /// An IPv6 address without brackets.
    case ipv6(String)

    /// The text without brackets, as getaddrinfo(3) and inet_pton(3) take it.
    var text: String {
      switch self {
      case .name(let text), .ipv4(let text), .ipv6(let text): text
      }
    }
  }

  /// What a place on the command line accepts.
  struct Rule: Sendable {
    /// The host where only a port is given.
    let defaultHost: Host
    /// Whether 0 is a port here.
    let allowsPortZero: Bool
    /// Whether only addresses of this machine make sense, so that names other than localhost do
    /// not.
    let isLocal: Bool

    /// A service to connect to; localhost is looked up, since servers listen on either family.
    static let service = Rule(
      defaultHost: .name("localhost"), allowsPortZero: false, isLocal: false)
    /// A TCP address for the programs of this machine.
    static let localListener = Rule(
      defaultHost: .ipv4("127.0.0.1"), allowsPortZero: true, isLocal: true)
    /// A UDP address for peers, on every network of this machine and both families.
    static let publicListener = Rule(
      defaultHost: .ipv6("::"), allowsPortZero: true, isLocal: true)
  }

  /// Reads a word of the command line.
  static func parse(_ text: String, rule: Rule) throws(ValueProblem) -> HostPort {
    if let scheme = text.firstRange(of: "://") {
      let rest = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
      throw ValueProblem(text, "is a URL", fix: "write only host and port, such as \(rest)")
    }
    if text.hasPrefix("[") { return try parseBracketed(text, rule: rule) }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    switch parts.count {
    case 1 where text.utf8.allSatisfy(isDigit) && !text.isEmpty:
      return HostPort(host: rule.defaultHost, port: try parsePort(text, rule: rule))
    case 1:
      throw ValueProblem(
        text, text.contains(".") || rule.isLocal == false ? "has no port" : "is not a port",
        fix: "write a number such as 3000, or host and port such as 127.0.0.1:3000")
    case 2 where parts[0].isEmpty:
      throw ValueProblem(
        text, "has no host before the colon", fix: "write \(parts[1]) or HOST:\(parts[1])")
    case 2:
      let port = try parsePort(String(parts[1]), rule: rule)
      return HostPort(host: try parseHost(String(parts[0]), rule: rule), port: port)
    default:
      let fix = "put IPv6 addresses in brackets, such as [::1]:3000"
      throw ValueProblem(text, "has more than one colon", fix: fix)
    }
  }
}

// MARK: - Internals

extension HostPort {
  private static func parseBracketed(
    _ text: String, rule: Rule
  ) throws(ValueProblem) -> HostPort {
    let form = "write it like [::1]:3000"
    guard let bracket = text.firstIndex(of: "]") else {
      throw ValueProblem(text, "has no closing bracket", fix: form)
    }
    let address = String(text[text.index(after: text.startIndex)..<bracket])
    guard isAddress(address, family: AF_INET6) else {
      throw ValueProblem(text, "has no IPv6 address in its brackets", fix: form)
    }
    let rest = text[text.index(after: bracket)...]
    guard rest.hasPrefix(":") else { throw ValueProblem(text, "has no port", fix: form) }
    let port = try parsePort(String(rest.dropFirst()), rule: rule)
    return HostPort(host: .ipv6(address), port: port)
  }

  private static func parsePort(_ text: String, rule: Rule) throws(ValueProblem) -> UInt16 {
    let lowest = rule.allowsPortZero ? 0 : 1
    let fix = "choose a number from \(lowest) to 65535"
    guard !text.isEmpty, text.utf8.allSatisfy(isDigit) else {
      throw ValueProblem(text, "is not a port", fix: fix)
    }
    guard let port = UInt16(text), port >= lowest else {
      throw ValueProblem(text, "is out of the range of ports", fix: fix)
    }
    return port
  }

  private static func parseHost(_ text: String, rule: Rule) throws(ValueProblem) -> Host {
    if isAddress(text, family: AF_INET) { return .ipv4(text) }
    if text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }) {
      let fix = "write four numbers from 0 to 255, such as 192.0.2.1"
      throw ValueProblem(text, "is not an IPv4 address", fix: fix)
    }
    if rule.isLocal {
      // RFC 6761 §6.3: localhost always means the loopback addresses.
      if text == "localhost" { return .ipv4("127.0.0.1") }
      throw ValueProblem(
        text, "is not an address to listen on",
        fix: "write an address of this machine, such as 127.0.0.1, 0.0.0.0 or [::]")
    }
    guard isHostName(text) else {
      throw ValueProblem(
        text, "is not a host name",
        fix: "use letters, digits, dots and hyphens, or an address")
    }
    return .name(text)
  }

  /// RFC 1123 §2.1 with underscores, which container networks use.
  private static func isHostName(_ text: String) -> Bool {
    let name = text.hasSuffix(".") ? text.dropLast() : text[...]
    guard name.utf8.count <= 253 else { return false }
    return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { byte in
          isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
    }
  }

  private static func isAddress(_ text: String, family: Int32) -> Bool {
    var storage = in6_addr()  // large enough for either family
    return inet_pton(family, text, &storage) == 1
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
