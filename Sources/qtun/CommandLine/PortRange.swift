internal import Tunnel

/// Ports in a row, written `8000-8010`; a single port is a row of one.
struct PortRange: Equatable, Sendable {
  let first: UInt16
  let count: Int

  /// Every port is a listener with its descriptor; who needs more wants a proxy.
  static let countMax = 1_000

  /// The ports in order.
  var ports: [UInt16] { (0..<count).map { first + UInt16($0) } }

  /// Whether a word is meant as one: digits, or digits, a hyphen and digits.
  static func isWritten(in text: some StringProtocol) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    return (1...2).contains(parts.count)
      && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
  }

  /// Reads what `isWritten` finds in `text`, a part of `whole`.
  static func parse(
    _ text: some StringProtocol, of whole: String, allowsZero: Bool
  ) throws(ValueProblem) -> PortRange {
    let bounds = text.split(separator: "-").map { UInt16($0) }
    let lowest: UInt16 = bounds.count == 1 && allowsZero ? 0 : 1
    guard let first = bounds[0], let last = bounds[bounds.count - 1], first >= lowest else {
      throw ValueProblem(
        whole, "has a port out of range", fix: "choose numbers from \(lowest) to 65535")
    }
    guard first <= last else {
      throw ValueProblem(
        whole, "has a range that runs backwards", fix: "write \(last)-\(first)")
    }
    let count = Int(last - first) + 1
    guard count <= countMax else {
      throw ValueProblem(
        whole, "has a range of \(count) ports",
        fix: "write \(countMax) at most, or open a proxy with -D, which reaches every port")
    }
    return PortRange(first: first, count: count)
  }

  /// The ports that belong to those of `listening`, one each: these, or as many from a single one up.
  func spread(over listening: PortRange, of whole: String) throws(ValueProblem) -> PortRange {
    if count == listening.count { return self }
    guard count == 1 else {
      throw ValueProblem(
        whole, "has \(listening.count) ports on one side and \(count) on the other",
        fix: "write as many on both sides, or only the first behind it")
    }
    guard Int(first) + listening.count - 1 <= UInt16.max else {
      throw ValueProblem(
        whole, "leads beyond port 65535", fix: "begin at a lower port, or make the range shorter")
    }
    return PortRange(first: first, count: listening.count)
  }
}

extension NamedPlace {
  /// Reads a word that may have a range of ports, which stands for as many services.
  ///
  /// Of services, `8000-8010` is eleven with the names `8000` to `8010`, and `web=8000-8010` has
  /// `web-8000` to `web-8010`. Of listeners, the same word opens them at the same ports, and
  /// `9000-9010:8000` at others.
  static func parseRange(
    _ text: String, rule: HostPort.Rule
  ) throws(ValueProblem) -> [NamedPlace] {
    let head = text.prefix { !":/[".contains($0) }
    let equals = head.firstIndex(of: "=")
    let name = equals.map { text[..<$0] }
    var rest = equals.map { text[text.index(after: $0)...] } ?? text[...]
    guard Place.takesRange(rest) else { return [try parse(text, rule: rule)] }
    let prefix = rest.hasPrefix(udpPrefix) ? udpPrefix : ""
    rest = rest.dropFirst(prefix.count)
    var parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    // `PORTS:SERVICES` of listeners, `HOST:PORTS`, `PORTS`; anything else has no range.
    var services: Substring?
    if rule.isLocal, parts.count >= 2, isRange(parts[parts.count - 2]),
      PortRange.isWritten(in: parts[parts.count - 1])
    {
      services = parts.removeLast()
    }
    guard let last = parts.last, isRange(last) else {
      return [try parse(text, rule: rule)]
    }
    let ports = try PortRange.parse(last, of: text, allowsZero: false)
    guard ports.count <= Service.countMax else {
      throw ValueProblem(
        text, "has a range of \(ports.count) ports, and a share has \(Service.countMax) services",
        fix: "share `dynamic:127.0.0.1:\(last)` instead, and open it by `qtun to TICKET -L "
          + "\(last):127.0.0.1:\(ports.first)`")
    }
    let numbers = try services.map { (written) throws(ValueProblem) in
      try PortRange.parse(written, of: text, allowsZero: false).spread(over: ports, of: text)
    }
    let host = parts.dropLast().map { "\($0):" }.joined()
    var places: [NamedPlace] = []
    for (port, number) in zip(ports.ports, (numbers ?? ports).ports) {
      let name = name.map { "\($0)-\(number)" } ?? String(number)
      places.append(try parse("\(name)=\(prefix)\(host)\(port)", rule: rule))
    }
    return places
  }

  private static func isRange(_ text: Substring) -> Bool {
    text.contains("-") && PortRange.isWritten(in: text)
  }

  private static let udpPrefix = "udp:"
}

extension ValueParser where Value == [NamedPlace] {
  /// A place with or without the name of a service in front, or a range of them.
  static func namedPlaces(_ rule: HostPort.Rule) -> ValueParser {
    ValueParser { (text) throws(ValueProblem) in try NamedPlace.parseRange(text, rule: rule) }
  }
}
