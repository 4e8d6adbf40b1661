internal import Tunnel

/// A service's or a listener's place, as users write it: `3000`, `db:5432`, `udp:53`,
/// `unix:/run/app.sock`, and for services `dir:site` and `dynamic:example.com:443`.
enum Place: Equatable, Sendable, CustomStringConvertible {
  /// A TCP host and port.
  case tcp(HostPort)
  /// A UDP host and port.
  case udp(HostPort)
  /// The path of a Unix stream socket.
  case unix(String)
  /// The path of a folder to serve.
  case folder(String)
  /// What the other side may name.
  case dynamic(TargetRules)

  /// The form that `parse` reads.
  var description: String {
    switch self {
    case .tcp(let address): address.description
    case .udp(let address): "udp:\(address)"
    case .unix(let path): "unix:\(path)"
    case .folder(let path): "dir:\(path)"
    case .dynamic(let rules): "dynamic:\(rules)"
    }
  }

  /// Reads a word of the command line.
  static func parse(_ text: String, rule: HostPort.Rule) throws(ValueProblem) -> Place {
    if text.hasPrefix(unixPrefix) { return try parseUnix(text) }
    // A host of the name udp can still be written, as in udp.:53.
    if text.hasPrefix(udpPrefix) {
      return .udp(try HostPort.parse(String(text.dropFirst(udpPrefix.count)), rule: rule))
    }
    for prefix in [folderPrefix, dynamicPrefix] where text.hasPrefix(prefix) && rule.isLocal {
      throw ValueProblem(
        text, "is something to share, not to listen at",
        fix: "give it to `qtun share`, and write an address such as 8080 here")
    }
    if text.hasPrefix(folderPrefix) {
      let path = String(text.dropFirst(folderPrefix.count))
      guard !path.isEmpty else {
        throw ValueProblem(text, "names no folder", fix: "write a path, such as dir:./site")
      }
      return .folder(path)
    }
    if text.hasPrefix(dynamicPrefix) { return try parseDynamic(text) }
    return .tcp(try HostPort.parse(text, rule: rule))
  }

  private static func parseDynamic(_ text: String) throws(ValueProblem) -> Place {
    do throws(TargetRuleError) {
      return .dynamic(try TargetRules(String(text.dropFirst(dynamicPrefix.count))))
    } catch {
      switch error {
      case .unreadable(let rule):
        throw ValueProblem(
          text, "has a rule that cannot be read: \(ValueProblem.shown(rule))",
          fix: "write HOST:PORTS with commas between, such as dynamic:example.com:443, "
            + "dynamic:*.example.com:80-443, dynamic:10.0.0.0/8:22, dynamic:[2001:db8::]/32:* or "
            + "dynamic:*:443")
      case .tooMany:
        throw ValueProblem(
          text, "has too many rules", fix: "write 256 at most; networks take many addresses at once"
        )
      }
    }
  }

  private static func parseUnix(_ text: String) throws(ValueProblem) -> Place {
    let path = String(text.dropFirst(unixPrefix.count))
    guard !path.isEmpty else {
      throw ValueProblem(text, "names no socket", fix: "write a path, such as unix:/run/app.sock")
    }
    guard path.utf8.count <= pathMax else {
      throw ValueProblem(
        text, "is too long for the path of a socket",
        fix: "choose one of at most \(pathMax) bytes")
    }
    return .unix(path)
  }

  private static let udpPrefix = "udp:"
  private static let unixPrefix = "unix:"
  private static let folderPrefix = "dir:"
  private static let dynamicPrefix = "dynamic:"
  /// `sun_path` less its final zero byte; see unix(7).
  private static let pathMax = 107
}
