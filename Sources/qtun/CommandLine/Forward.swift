internal import Tunnel

/// What `-L` opens: an address here that leads to a destination, or to a service of the share.
struct LocalForward: Equatable, Sendable {
  /// A TCP address or a Unix socket.
  let place: Place
  let target: Target

  /// Where its connections go.
  enum Target: Equatable, Sendable, CustomStringConvertible {
    /// What the share lets us name.
    case destination(Destination)
    /// What it offers by this name.
    case service(String)

    var description: String {
      switch self {
      case .destination(let destination): destination.description
      case .service(let name): name
      }
    }
  }

  private static let form = "8080:localhost:80, or 8080:NAME for a service of the share"

  /// Reads `[bind:]port:host:hostport`, `[bind:]port:service` and `/socket:...`; a range of ports
  /// stands for as many forwards.
  static func parse(_ text: String) throws(ValueProblem) -> [LocalForward] {
    var fields = ForwardFields(text)
    if let path = socketPath(in: text) {
      let place = try Place.parse("unix:\(path)", rule: .localListener)
      var behind = ForwardFields(String(text[path.endIndex...].dropFirst()))
      let targets = try Self.targets(of: &behind, over: PortRange(first: 1, count: 1), text)
      return targets.map { LocalForward(place: place, target: $0) }
    }
    let (host, ports) = try fields.takeListener(form: form)
    let targets = try targets(of: &fields, over: ports, text)
    return zip(ports.ports, targets).map { port, target in
      LocalForward(place: .tcp(HostPort(host: host, port: port)), target: target)
    }
  }

  /// The path in front of `/run/app.sock:host:80` or `unix:app.sock:host:80`.
  private static func socketPath(in text: String) -> Substring? {
    let isUnix = text.hasPrefix("unix:")
    guard isUnix || text.hasPrefix("/") || text.hasPrefix("./") else { return nil }
    return text.dropFirst(isUnix ? 5 : 0).prefix { $0 != ":" }
  }

  private static func targets(
    of fields: inout ForwardFields, over ports: PortRange, _ text: String
  ) throws(ValueProblem) -> [Target] {
    let rest = fields.rest
    if let first = rest.first, first.hasPrefix("/") || first.hasPrefix("./") || first == "unix" {
      throw ValueProblem(
        text, "leads to a Unix socket of the other side, which only a service can",
        fix: "run `qtun share NAME=unix:PATH` there, and write the NAME behind the port here")
    }
    switch rest.count {
    case 1 where PortRange.isWritten(in: rest[0]):
      let names = try PortRange.parse(rest[0], of: text, allowsZero: false)
      return try names.spread(over: ports, of: text).ports.map { .service(String($0)) }
    case 1 where Service.isName(rest[0]):
      guard ports.count == 1 else {
        throw ValueProblem(
          text, "opens one service at \(ports.count) ports",
          fix: "write one port, or the ports of the services behind the range")
      }
      return [.service(rest[0])]
    case 2 where PortRange.isWritten(in: rest[1]):
      let behind = try PortRange.parse(rest[1], of: text, allowsZero: false)
      var targets: [Target] = []
      for port in try behind.spread(over: ports, of: text).ports {
        guard let destination = Destination("\(rest[0]):\(port)") else {
          throw ValueProblem(text, "has no host in front of its last port", fix: "write \(form)")
        }
        targets.append(.destination(destination))
      }
      return targets
    default: throw ValueProblem(text, "has no destination", fix: "write \(form)")
    }
  }
}

/// What `-R` opens: an address at the sharing side that leads to a place here.
struct RemoteForward: Equatable, Sendable {
  let address: HostPort
  /// A TCP address or a Unix socket.
  let place: Place

  private static let form = "8080:localhost:3000"

  /// Reads `[bind:]port:host:hostport`, `[bind:]port:port` and `[bind:]port:/socket`; a range of
  /// ports stands for as many forwards.
  static func parse(_ text: String) throws(ValueProblem) -> [RemoteForward] {
    if text.hasPrefix("/") || text.hasPrefix("unix:") {
      throw ValueProblem(
        text, "asks the other side to listen at a Unix socket, which it does not",
        fix: "write a port, such as \(form)")
    }
    var fields = ForwardFields(text)
    let (host, ports) = try fields.takeListener(form: form)
    let places = try places(of: fields.rest, over: ports, text)
    return zip(ports.ports, places).map { port, place in
      RemoteForward(address: HostPort(host: host, port: port), place: place)
    }
  }

  private static func places(
    of rest: [String], over ports: PortRange, _ text: String
  ) throws(ValueProblem) -> [Place] {
    if let first = rest.first, first.hasPrefix("/") || first.hasPrefix("./") || first == "unix" {
      guard ports.count == 1 else {
        throw ValueProblem(
          text, "leads \(ports.count) ports to one Unix socket", fix: "write one port")
      }
      let path = (first == "unix" ? rest.dropFirst() : rest[...]).joined(separator: ":")
      return [try Place.parse("unix:\(path)", rule: .service)]
    }
    guard let last = rest.last, rest.count <= 2, PortRange.isWritten(in: last) else {
      throw ValueProblem(
        text, "has no destination on this side",
        fix: rest.isEmpty
          ? "write \(form); for a proxy through this side run `qtun share dynamic:RULES` here"
          : "write \(form)")
    }
    let behind = try PortRange.parse(last, of: text, allowsZero: false)
    let host = rest.count == 2 ? "\(rest[0]):" : ""
    var places: [Place] = []
    for port in try behind.spread(over: ports, of: text).ports {
      places.append(.tcp(try HostPort.parse("\(host)\(port)", rule: .service)))
    }
    return places
  }
}

/// Where `-W` joins standard input and output to.
enum StdioForward: Equatable, Sendable {
  case destination(Destination)
  case service(String)

  /// Reads `host:port` or the name of a service.
  static func parse(_ text: String) throws(ValueProblem) -> StdioForward {
    if let destination = Destination(text) { return .destination(destination) }
    guard Service.isName(text) else {
      throw ValueProblem(
        text, "is no destination",
        fix: "write HOST:PORT, such as localhost:22 or [::1]:22, or the name of a service")
    }
    return .service(text)
  }
}
