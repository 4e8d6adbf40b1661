internal import HolePunch
internal import QuicTransport

/// What a user can change so that more peers are reached directly, in words.
enum NetworkAdvice {
  /// One sentence or more each, the most useful first; never empty.
  static func lines(_ facts: NetworkFacts) -> [String] {
    var lines: [String] = []
    let report = facts.report
    switch facts.passesUDP {
    case nil:
      lines.append(
        "Name a STUN server to learn what the internet sees: qtun netcheck --stun HOST. None is asked "
          + "by itself, since it would learn your address. A `qtun relay` is one.")
    case false:
      lines.append(
        "Let UDP out of this network: no server answered, so the firewall drops it or the servers are "
          + "down. Sessions use TLS over TCP meanwhile.")
    case true:
      if report.mapping == .unknown {
        lines.append(
          "Name a second STUN server, on another host, to learn how ports are given out.")
      }
    }
    if facts.isBehindTwoRouters {
      lines.append(
        "The router itself is behind another NAT, perhaps the provider's, so the port that it maps "
          + "does not reach the internet. Ask the provider for a public address, or use IPv6.")
    } else if facts.mapped == nil, facts.passesUDP != false, needsPort(report) {
      lines.append(portAdvice(facts))
    }
    return lines.isEmpty ? ["Nothing: this network is as good as any."] : lines
  }

  /// Whether some peers cannot, or only with guesses, come in.
  private static func needsPort(_ report: NATReport) -> Bool {
    switch report.mapping {
    case .none, .unknown: false
    case .endpointIndependent: report.filtering != .endpointIndependent
    case .addressDependent, .addressAndPortDependent: true
    }
  }

  private static func portAdvice(_ facts: NetworkFacts) -> String {
    let router = facts.gateway.map { "the router (\($0.host))" } ?? "the router"
    let forward =
      "forward UDP port 4433 of \(router) to this machine, and share with --listen 4433"
    switch facts.portMapping {
    case .notAsked:
      return "Leave --no-port-mapping out to see whether the router opens a port on request, or "
        + "\(forward)."
    case .noRouter, .refused, .mapped:
      return "Turn on UPnP, NAT-PMP or PCP in the settings of \(router), or \(forward). Then "
        + "every peer whose network passes UDP is reached."
    }
  }
}
