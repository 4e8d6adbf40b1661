internal import QuicTransport

/// What a share lets the connecting side reach by naming it.
///
/// Names alone are never believed: the sharing side looks a name up once, judges each address that
/// it got, and connects to those and no others. Rules about names open addresses of the public
/// internet. Everything else, `SpecialNetworks` and the machine's own addresses, is opened only by
/// a rule that names a network inside of it: `10.0.0.0/8:22` opens what it says, `0.0.0.0/0:22`
/// does not open 10.0.0.1.
public struct TargetRules: Equatable, Sendable, CustomStringConvertible {
  /// As written.
  public let description: String
  private let rules: [Rule]

  /// Reads rules separated by commas: `example.com:443`, `*.example.com:80-443`, `10.0.0.0/8:22`,
  /// `[2001:db8::]/32:*`, `*:443`.
  ///
  /// - Throws: `.unreadable` with the first that cannot be read, `.tooMany`.
  public init(_ text: String) throws(TargetRuleError) {
    var rules: [Rule] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let rule = Rule(word) else { throw .unreadable(String(word)) }
      rules.append(rule)
    }
    guard rules.count <= Self.countMax else { throw .tooMany }
    self.rules = rules
    description = text
  }

  /// Whether it is worth looking the name up: some address behind it could be allowed.
  func mayPermit(_ name: String, port: UInt16) -> Bool {
    rules.contains { rule in
      guard rule.ports.contains(port) else { return false }
      if case .network = rule.host { return true }
      return rule.host.matches(name)
    }
  }

  /// Whether this address and port may be connected to.
  ///
  /// - Parameters:
  ///   - name: what was looked up for it; nil when the address itself was asked for.
  ///   - isOwn: whether it is one of this machine's addresses, behind its firewall.
  func permits(_ address: SocketAddress, name: String?, isOwn: Bool) -> Bool {
    let special =
      isOwn ? IPNetwork(address, prefixLength: 128) : SpecialNetworks.containing(address)
    return rules.contains { rule in
      guard rule.ports.contains(address.port) else { return false }
      if case .network(let network) = rule.host {
        return network.contains(address) && special?.contains(network) ?? true
      }
      return special == nil && rule.host.matches(name)
    }
  }

  /// Each is looked at for each address; more belong into a firewall.
  static let countMax = 256

  struct Rule: Equatable, Sendable {
    let host: Host
    let ports: ClosedRange<UInt16>

    enum Host: Equatable, Sendable {
      /// `*`: every name and every public address.
      case any
      /// `example.com`
      case name(String)
      /// `*.example.com`: names below it, at any depth, and not itself.
      case below(String)
      case network(IPNetwork)

      /// - Parameter name: nil for an address.
      func matches(_ name: String?) -> Bool {
        switch self {
        case .any: true
        case .name(let own): name == own
        case .below(let own): name?.hasSuffix(".\(own)") ?? false
        case .network: false
        }
      }
    }

    init?(_ text: Substring) {
      guard let colon = text.lastIndex(of: ":"), let host = Host(text[..<colon]),
        let ports = PortRange.read(text[text.index(after: colon)...], all: 1...UInt16.max)
      else { return nil }
      self.host = host
      self.ports = ports
    }
  }
}

extension TargetRules.Rule.Host {
  init?(_ text: Substring) {
    if text == "*" {
      self = .any
    } else if text.hasPrefix("*.") {
      guard let name = TargetHost.normalized(text.dropFirst(2)) else { return nil }
      self = .below(name)
    } else if text.hasPrefix("[") {
      // [2001:db8::1] or [2001:db8::]/32
      guard let bracket = text.firstIndex(of: "]") else { return nil }
      let address = text.dropFirst()[..<bracket]
      let length = text[text.index(after: bracket)...]
      guard address.contains(":"), length.isEmpty || length.hasPrefix("/"),
        let network = IPNetwork(address + length)
      else { return nil }
      self = .network(network)
    } else if text.contains(":") {
      return nil
    } else if let network = IPNetwork(text) {
      self = .network(network)
    } else {
      guard let name = TargetHost.normalized(text) else { return nil }
      self = .name(name)
    }
  }
}

/// Why a list of rules cannot be read.
public enum TargetRuleError: Error, Equatable, Sendable {
  /// This one, as written.
  case unreadable(String)
  /// More than 256.
  case tooMany
}
