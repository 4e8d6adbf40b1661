internal import Glibc
internal import QuicTransport

/// Why `qtun punch` ends without a hole; printed as netpunch does, with its exit status.
struct PunchError: Error, Equatable, Sendable {
  /// Everything that is wrong, one clause each.
  let causes: [String]

  /// One or more causes.
  init(_ causes: String...) {
    self.causes = causes
  }

  /// Several causes at once.
  init(causes: [String]) {
    self.causes = causes
  }

  /// The line for standard error.
  var text: String {
    "Error: \(TerminalText.escaped(causes.joined(separator: "; ")))"
  }
}

/// What `qtun punch` opened.
struct PunchResult: Sendable {
  /// Where the socket is bound.
  let local: SocketAddress
  /// The partner, as it can be reached from here.
  let remote: SocketAddress
  /// The address of this machine towards the partner.
  let source: SocketAddress

  /// A field as netpunch shows it: `n/a` where the socket is bound to every address.
  func text(_ field: PunchTemplate.Field) -> String {
    switch field {
    case .localAddress: local.description
    case .localIP: local.isUnspecified ? "n/a" : local.host
    case .localPort: "\(local.port)"
    case .remoteAddress: remote.description
    case .remoteIP: remote.host
    case .remotePort: "\(remote.port)"
    }
  }

  /// The same as one JSON object, with the local address that the system picks.
  var json: String {
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "open")
      result.member("local", source.description)
      result.member("remote", remote.description)
    }
    return writer.text
  }
}
