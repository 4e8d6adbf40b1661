/// A service's or a listener's place, as users write it: `3000`, `db:5432`, `udp:53`,
/// `unix:/run/app.sock`.
enum Place: Equatable, Sendable, CustomStringConvertible {
  /// A TCP host and port.
  case tcp(HostPort)
  /// A UDP host and port.
  case udp(HostPort)
  /// The path of a Unix stream socket.
  case unix(String)

  /// The form that `parse` reads.
  var description: String {
    switch self {
    case .tcp(let address): address.description
    case .udp(let address): "udp:\(address)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// Reads a word of the command line.
  static func parse(_ text: String, rule: HostPort.Rule) throws(ValueProblem) -> Place {
    // A host of the name udp can still be written, as in udp.:53.
    if text.hasPrefix(udpPrefix) {
      return .udp(try HostPort.parse(String(text.dropFirst(udpPrefix.count)), rule: rule))
    }
    guard text.hasPrefix(unixPrefix) else {
      return .tcp(try HostPort.parse(text, rule: rule))
    }
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
  /// `sun_path` less its final zero byte; see unix(7).
  private static let pathMax = 107
}
