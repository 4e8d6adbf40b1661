internal import QuicTransport

/// Where a share listens for the connecting side if that asks.
///
/// Rules open exactly what they name: `8000-8010` those ports of the loopback addresses, `0.0.0.0:80`
/// one port of every IPv4 address, which `127.0.0.1:80` does not open, nor the other way around.
public struct ListenRules: Equatable, Sendable, CustomStringConvertible {
  /// As written.
  public let description: String
  private let rules: [Rule]

  struct Rule: Equatable, Sendable {
    let host: Host
    let ports: ClosedRange<UInt16>

    enum Host: Equatable, Sendable {
      /// `*`
      case any
      case loopback
      /// With port 0.
      case address(SocketAddress)
    }
  }

  /// Reads rules separated by commas: `8000-8010`, `127.0.0.1:8080`, `0.0.0.0:443`, `[::]:*`,
  /// `*:8000-9000`. `*` as a port takes in 0, a free one.
  ///
  /// - Throws: `.unreadable` with the first that cannot be read, `.tooMany`.
  public init(_ text: String) throws(ListenRuleError) {
    var rules: [Rule] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let rule = Rule(word) else { throw .unreadable(String(word)) }
      rules.append(rule)
    }
    guard rules.count <= Self.countMax else { throw .tooMany }
    self.rules = rules
    description = text
  }

  /// Whether the sharing side may listen there for a peer.
  func permit(_ address: SocketAddress) -> Bool {
    rules.contains { rule in
      guard rule.ports.contains(address.port) else { return false }
      return switch rule.host {
      case .any: true
      case .loopback: address.isLoopback
      case .address(let own): own == address.with(port: 0)
      }
    }
  }

  /// Each is looked at for each listener.
  static let countMax = 256
}

extension ListenRules.Rule {
  fileprivate init?(_ text: Substring) {
    let colon = text.lastIndex(of: ":")
    let word = colon.map { text[text.index(after: $0)...] } ?? text
    guard let ports = PortRange.read(word, all: 0...UInt16.max) else { return nil }
    self.ports = ports
    guard let colon else {
      host = .loopback
      return
    }
    let name = text[..<colon]
    if name == "*" {
      host = .any
    } else if name == "localhost" {
      // RFC 6761 §6.3: always the loopback addresses.
      host = .loopback
    } else {
      let isBracketed = name.hasPrefix("[") && name.hasSuffix("]")
      let bare = String(isBracketed ? name.dropFirst().dropLast() : name)
      guard isBracketed == bare.contains(":"), !bare.contains("%"),
        let address = SocketAddress(bare, port: 0)
      else { return nil }
      host = .address(address)
    }
  }
}

/// Why a list of rules cannot be read.
public enum ListenRuleError: Error, Equatable, Sendable {
  /// This one, as written.
  case unreadable(String)
  /// More than 256.
  case tooMany
}
