internal import QuicTransport

/// The target of an HTTP request, taken apart (RFC 9112 §3.2, RFC 3986 §3.2).
enum HTTPTarget {
  /// `SCHEME://AUTHORITY/PATH` with one of these schemes in its two parts; nil for every other form.
  static func absoluteForm(
    _ target: String, schemes: [String]
  ) -> (authority: String, path: String)? {
    guard
      let scheme = schemes.map({ "\($0)://" }).first(where: { scheme in
        target.prefix(scheme.count).lowercased() == scheme
      })
    else { return nil }
    let rest = target.dropFirst(scheme.count)
    let authority = rest.prefix { !"/?#".contains($0) }
    let path = rest.dropFirst(authority.count)
    guard !authority.isEmpty, !path.contains("#") else { return nil }
    // RFC 9112 §3.2.1: the origin form begins with a slash.
    return (String(authority), path.hasPrefix("/") ? String(path) : "/\(path)")
  }

  /// The host of an authority, without its port: a name in lower case without a final dot, or an
  /// address in its usual form; nil where it is neither.
  static func host(ofAuthority authority: String) -> String? {
    // Ports do not matter here; where there is none, any will do.
    guard let destination = Destination(authority) ?? Destination("\(authority):80") else {
      return nil
    }
    switch TargetHost(destination) {
    case .address(let address)?: return address.host
    case .name(let name)?: return name
    case nil: return nil
    }
  }
}
