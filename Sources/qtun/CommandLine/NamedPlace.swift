internal import Tunnel

/// A place with the name of a service in front, as in `web=3000`; without one as in `3000`.
struct NamedPlace: Equatable, Sendable, CustomStringConvertible {
  /// The service's name, if one was written.
  let name: String?
  /// Where it is, or where it is opened.
  let place: Place

  /// The form that `parse` reads.
  var description: String { name.map { "\($0)=\(place)" } ?? place.description }

  /// Reads a word of the command line.
  static func parse(_ text: String, rule: HostPort.Rule) throws(ValueProblem) -> NamedPlace {
    // What stands behind a colon or slash is a place's own: `unix:/run/a=b`.
    let head = text.prefix { !":/[".contains($0) }
    guard let equals = head.firstIndex(of: "=") else {
      return NamedPlace(name: nil, place: try Place.parse(text, rule: rule))
    }
    let name = String(text[..<equals])
    guard Service.isName(name) else {
      throw ValueProblem(
        text, "does not begin with a service's name",
        fix: "use up to 63 letters, digits, dots, hyphens and underscores, such as web=3000")
    }
    let rest = String(text[text.index(after: equals)...])
    return NamedPlace(name: name, place: try Place.parse(rest, rule: rule))
  }
}

extension [NamedPlace] {
  /// The first name that stands there twice; empty for two places without one.
  var repeatedName: String? {
    var seen: Set<String> = []
    return map { $0.name ?? "" }.first { !seen.insert($0).inserted }
  }
}
