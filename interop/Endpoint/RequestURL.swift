/// An https URL of one file.
struct RequestURL {
  /// A name or an IP address without brackets.
  let host: String
  let port: UInt16
  /// The path, from its first slash on.
  let path: String

  /// Parses `https://host[:port]/path`; nil for anything else, and for a path that ends in a slash,
  /// because a downloaded file needs a name.
  init?(_ text: Substring) {
    let scheme = "https://"
    guard text.hasPrefix(scheme) else { return nil }
    let rest = text.dropFirst(scheme.count)
    guard let slash = rest.firstIndex(of: "/"), text.last != "/" else { return nil }
    var authority = rest[..<slash]
    var portText: Substring = "443"
    if authority.first == "[" {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      let behind = authority[authority.index(after: end)...]
      guard behind.isEmpty || behind.first == ":" else { return nil }
      if !behind.isEmpty { portText = behind.dropFirst() }
      authority = authority[..<end].dropFirst()
    } else if let colon = authority.firstIndex(of: ":") {
      portText = authority[authority.index(after: colon)...]
      authority = authority[..<colon]
    }
    guard !authority.isEmpty, let port = UInt16(portText) else { return nil }
    host = String(authority)
    self.port = port
    path = String(rest[slash...])
  }

  /// The last part of the path.
  var fileName: String {
    path.split(separator: "/").last.map(String.init) ?? ""
  }

  /// Host and port as `:authority` wants them (RFC 9114 §4.3.1).
  var authority: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == 443 ? name : "\(name):\(port)"
  }
}
