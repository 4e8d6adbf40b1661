internal import Tunnel

/// What `--public` says: nothing, a port, or a name, perhaps with a service in front, as in
/// `web=8080`, `app.example.com` or `web=tls:app.example.com`.
struct PublicChoice: Equatable, Sendable {
  /// The service that it is about; nil for the only one.
  let service: String?
  let place: Place

  enum Place: Equatable, Sendable {
    /// 0 for the one of the last time, or a free one.
    case port(UInt16)
    /// A host name, of the relay's HTTP or TLS port.
    case name(String, PublicKind)
  }

  /// Reads a word of the command line.
  static func parse(_ text: String) throws(ValueProblem) -> PublicChoice {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    var service: String?
    if parts.count == 2 {
      guard Service.isName(String(parts[0])) else {
        throw ValueProblem(
          text, "does not begin with a service's name", fix: "write it like web=8080")
      }
      service = String(parts[0])
    }
    var rest = parts[parts.count - 1]
    if !rest.isEmpty, rest.utf8.allSatisfy({ (48...57).contains($0) }) {
      guard let port = UInt16(rest) else {
        throw ValueProblem(text, "is out of the range of ports", fix: "choose from 1 to 65535")
      }
      return PublicChoice(service: service, place: .port(port))
    }
    var kind = PublicKind.http
    for (prefix, other) in [("http:", PublicKind.http), ("tls:", .tls)]
    where rest.hasPrefix(prefix) && !rest.hasPrefix("\(prefix)/") {
      kind = other
      rest = rest.dropFirst(prefix.count)
    }
    guard let name = PublicName.canonical(rest) else {
      throw ValueProblem(
        text, "is neither a port nor a host name",
        fix: "write a port such as 8080, a name such as app.example.com, or tls:app.example.com")
    }
    return PublicChoice(service: service, place: .name(name, kind))
  }

  /// What it asks the relays for, of this service; nil where that cannot be, with why.
  func wish(for service: NamedPlace) -> Result<PublicWish, ValueProblem> {
    let name = service.name ?? ""
    let written = service.description
    switch (service.place, place) {
    case (.dynamic, _):
      return .failure(
        ValueProblem(
          written, "lets visitors choose where they go, so it cannot be public",
          fix: "share a service of its own, such as 3000"))
    case (.udp, .port(let port)):
      return .success(PublicWish(service: name, kind: .udp, port: port, name: ""))
    case (.udp, .name):
      return .failure(
        ValueProblem(
          written, "is of UDP, which has no names", fix: "ask for a port, or write --public alone"))
    case (_, .port(let port)):
      return .success(PublicWish(service: name, kind: .tcp, port: port, name: ""))
    case (_, .name(let host, let kind)):
      return .success(PublicWish(service: name, kind: kind, port: 0, name: host))
    }
  }
}

extension ValueParser where Value == PublicChoice {
  /// A port or a name.
  static let publicChoice = ValueParser { (text) throws(ValueProblem) in
    try PublicChoice.parse(text)
  }
}

extension ValueParser where Value == NameRules {
  /// Names that a relay gives out.
  static let nameRules = ValueParser { (text) throws(ValueProblem) in
    do throws(NameRuleError) {
      return try NameRules(text.split(separator: ",").map(String.init))
    } catch {
      throw ValueProblem(
        error.pattern, "is not a name", fix: "write names such as app.example.com or *.example.com")
    }
  }
}
