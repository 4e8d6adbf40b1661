internal import QuicTransport
internal import Tunnel

extension Describe {
  /// A public address as visitors write it.
  ///
  /// - Parameter relay: what this side calls the relay; for relays that do not say what they are called.
  static func place(_ address: PublicAddress, relay: String) -> String {
    let host = address.host.isEmpty ? relay : address.host
    let place = written(host, address.port)
    switch address.kind {
    case .tcp: return place
    case .udp: return "udp:\(place)"
    case .http:
      return address.port == 80 || address.port == 0 ? "http://\(host)" : "http://\(place)"
    case .tls:
      return address.port == 443 || address.port == 0 ? "https://\(host)" : "https://\(place)"
    }
  }

  private static func written(_ host: String, _ port: UInt16) -> String {
    host.contains(":") && !host.hasPrefix("[") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// Why a relay does not listen for us.
  static func refusal(_ status: PublicStatus) -> String {
    switch status {
    case .listening: "it does"
    case .notAllowed: "it does not let us have public addresses"
    case .heldByAnother: "another key holds it"
    case .outsideRange: "it does not give out this port"
    case .notOffered: "it has no public addresses of this kind"
    case .noneFree: "all of its ports are taken"
    case .tooMany: "we have, or it has, as many public addresses as allowed"
    case .portInUse: "another program there has the port"
    case .nameNotAllowed: "it does not give out this name"
    case .unknownKind: "it does not know this kind of address"
    case .replaced: "a later process with our identity has it now"
    case .released: "it was given back"
    case .other(let number): "for reason \(number), which this version does not know"
    }
  }

  /// What to do about it.
  static func fix(_ status: PublicStatus) -> String {
    switch status {
    case .notAllowed:
      "ask its operator for a token with public ports or names (`qtun token add --allow-ports`, "
        + "--allow-name), or to put our identity on its list (`qtun relay --allow`)"
    case .heldByAnother:
      "choose another one, use the identity that holds it, or share it with its holder by --group; "
        + "it is free an hour after its holder left"
    case .outsideRange:
      "choose a port of its --ports that our token allows, or write --public alone"
    case .notOffered:
      "start the relay with --ports for ports, with --http or --tls and --names for names"
    case .noneFree: "try again later, or ask the operator for a wider range"
    case .tooMany: "end other shares there"
    case .portInUse: "choose another port, or write --public alone"
    case .nameNotAllowed: "choose a name of its --names that our token allows"
    case .replaced: "give each of several shares an identity of its own, or one --group"
    case .listening, .unknownKind, .released, .other: "use the same version of qtun on both sides"
    }
  }
}

extension Failure {
  /// Why a share is not public.
  init(_ address: PublicAddress, _ status: PublicStatus) {
    let what =
      switch address.kind {
      case .tcp, .udp:
        address.port == 0 ? "a port" : "\(address.kind.rawValue) port \(address.port)"
      case .http, .tls: address.host
      }
    self.init(
      .refused, "the relay does not listen at \(what) for us: \(Describe.refusal(status))",
      fix: Describe.fix(status))
  }

  /// What is wrong with a file that qtun itself writes.
  init(_ error: AccessFileError, leases path: String) {
    if error == .busy {
      self.init(
        .configuration, "the leases in \(path) are another relay's, which is running",
        fix: "stop that one first, or give this one a key (--identity) or a folder (--state) of "
          + "its own")
      return
    }
    let cause =
      switch error {
      case .missing: "it is gone"
      case .exposed(let mode): "others may write it (mode 0\(String(mode, radix: 8)))"
      case .malformed(let line): "line \(line) cannot be understood"
      case .unreadable(let code), .unwritable(let code): Failure.systemMessage(code)
      case .busy: "another process has it"
      case .full: "it is too large"
      }
    self.init(
      .configuration, "the leases in \(path) cannot be used: \(cause)",
      fix: "mend the file or its permissions; without it, public ports are given out anew")
  }
}
