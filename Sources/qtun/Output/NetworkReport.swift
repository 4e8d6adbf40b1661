internal import HolePunch
internal import QuicTransport

/// What `qtun netcheck` prints: facts, what follows from them for peers, and what to change.
struct NetworkReport {
  let facts: NetworkFacts

  /// For people.
  var text: String {
    var rows = [("UDP", Self.passes(facts.passesUDP))]
    rows += family(facts.ipv4, named: "IPv4") + family(facts.ipv6, named: "IPv6")
    rows.append(("router", facts.gateway?.host ?? "none"))
    rows.append(("port mapping", portMapping))
    for address in facts.interfaces { rows.append(("interface", address.host)) }
    for server in facts.servers { rows.append(("server", Self.line(server))) }
    var lines = [
      HelpPage.table(rows), "",
      "Peers that will be reached directly, by the network that they are in:",
    ]
    lines.append(HelpPage.table(facts.outlook.map { (Self.name($0.peer), Self.words($0)) }))
    lines += ["", "What to change:"]
    lines += NetworkAdvice.lines(facts).flatMap { HelpPage.wrap($0, indent: 2) }
    return lines.joined(separator: "\n")
  }

  /// For programs.
  var json: String {
    var writer = JSONWriter()
    writer.object { object in
      object.member("event", "netcheck")
      object.member("udp", facts.passesUDP)
      write(facts.ipv4, named: "ipv4", to: &object)
      write(facts.ipv6, named: "ipv6", to: &object)
      object.member("router", facts.gateway?.host)
      object.object("port_mapping") { mapping in
        mapping.member("asked", facts.portMapping != .notAsked)
        mapping.member("protocol", facts.mapped.map { Self.name($0.by) })
        mapping.member("address", facts.mapped?.outside.description)
        mapping.member("behind_another_nat", facts.isBehindTwoRouters)
      }
      object.array("interfaces") { array in
        for address in facts.interfaces { array.element(address.host) }
      }
      object.array("servers") { array in
        for server in facts.servers { array.object { Self.write(server, to: &$0) } }
      }
      object.array("peers") { array in
        for outlook in facts.outlook {
          array.object { peer in
            peer.member("network", outlook.peer.rawValue)
            peer.member("direct", outlook.verdict.rawValue)
            peer.member("mode", outlook.mode.map { "\($0)" })
          }
        }
      }
      object.array("advice") { array in
        for line in NetworkAdvice.lines(facts) { array.element(line) }
      }
    }
    return writer.text
  }
}

// MARK: - Text

extension NetworkReport {
  private static func passes(_ passes: Bool?) -> String {
    switch passes {
    case true: "passes"
    case false: "blocked: no server answered"
    case nil: "not tried: no server is named"
    }
  }

  private func family(_ family: NetworkFacts.Family, named name: String) -> [(String, String)] {
    guard !family.reflexive.isEmpty else { return [(name, "unknown")] }
    let report = family.report
    let shown = family.reflexive.prefix(Self.addressesShown).map(\.description)
    var rows = [
      (name, "seen from outside as \(shown.joined(separator: ", "))"),
      ("  mapping", Self.words(report.mapping)),
    ]
    if let delta = report.portDelta { rows.append(("  port step", "\(delta)")) }
    if let keeps = report.preservesPort {
      rows.append(("  port", keeps ? "kept" : "another one outside"))
    }
    rows.append(("  filtering", Self.words(report.filtering)))
    if let hairpins = report.hairpins {
      rows.append(("  hairpin", hairpins ? "yes" : "no, as far as one machine can tell"))
    }
    return rows
  }

  private var portMapping: String {
    switch facts.portMapping {
    case .notAsked: "not asked for"
    case .noRouter: "there is no router to ask"
    case .refused: "the router does not offer it"
    case .mapped(let mapping):
      "\(Self.name(mapping.by)): \(mapping.outside) leads here"
        + (facts.isBehindTwoRouters ? ", inside of another NAT" : "")
    }
  }

  private static func line(_ server: NetworkFacts.Server) -> String {
    let address = server.address.map { ": \($0)" } ?? ""
    let result =
      server.roundTrip.map { "answered in \(Format.roundTripTime($0))" }
      ?? server.problem ?? "no answer"
    return "\(server.name)\(address) \(result)"
  }

  private static func name(_ peer: PeerOutlook.PeerKind) -> String {
    switch peer {
    case .open: "public address, mapped port"
    case .home: "router with steady ports"
    case .regular: "router with ports in a row"
    case .random: "router with random ports"
    case .blocked: "no UDP"
    }
  }

  private static func words(_ outlook: PeerOutlook) -> String {
    switch (outlook.verdict, outlook.mode) {
    case (.yes, .primed): "yes: both sides open their routers at the same time"
    case (.yes, _): "yes"
    case (.likely, .predict): "nearly always: by guessing the next ports"
    case (.likely, _): "nearly always: by trying many ports, within seconds"
    case (.no, .blocked): "no: UDP does not pass; TLS over TCP is used"
    case (.no, _): "no: neither side's port can be guessed; TLS over TCP is used"
    case (.unknown, _): "unknown: too little is known of this network"
    }
  }

  private static func words(_ mapping: NATReport.Mapping) -> String {
    switch mapping {
    case .unknown: "unknown: one server's word is not enough"
    case .none: "none: this machine has a public address"
    case .endpointIndependent: "one outside port for all peers (endpoint-independent)"
    case .addressDependent: "another outside port for each host (address-dependent)"
    case .addressAndPortDependent:
      "another outside port for each peer (address and port-dependent, \"symmetric\")"
    }
  }

  private static func words(_ filtering: NATReport.Filtering) -> String {
    switch filtering {
    case .unknown: "unknown: no server has a second address"
    case .endpointIndependent: "lets everybody in (endpoint-independent)"
    case .addressDependent: "lets in hosts that were sent to (address-dependent)"
    case .addressAndPortDependent:
      "lets in hosts and ports that were sent to (address and port-dependent)"
    }
  }

  static func name(_ by: NATReport.PortMappingProtocol) -> String {
    switch by {
    case .pcp: "PCP"
    case .natPMP: "NAT-PMP"
    case .upnp: "UPnP"
    }
  }

  /// A NAT with another port for each server shows several; these are enough to see it.
  private static let addressesShown = 3
}

// MARK: - JSON

extension NetworkReport {
  private func write(
    _ family: NetworkFacts.Family, named name: String, to json: inout JSONWriter
  ) {
    json.object(name) { object in
      let report = family.report
      object.array("reflexive") { array in
        for address in family.reflexive { array.element(address.description) }
      }
      object.member("mapping", Self.code(report.mapping))
      object.member("filtering", Self.code(report.filtering))
      object.member("port_delta", report.portDelta.map(Int64.init))
      object.member("preserves_port", report.preservesPort)
      object.member("hairpin", report.hairpins)
    }
  }

  private static func write(_ server: NetworkFacts.Server, to json: inout JSONWriter) {
    json.member("name", server.name.description)
    json.member("address", server.address?.description)
    json.member("mapped", server.mapped?.description)
    let microseconds = server.roundTrip.map { Int64(clamping: $0.wholeNanoseconds / 1_000) }
    json.member("rtt_us", microseconds)
    json.member("problem", server.problem)
  }

  private static func code(_ mapping: NATReport.Mapping) -> String? {
    switch mapping {
    case .unknown: nil
    case .none: "none"
    case .endpointIndependent: "endpoint-independent"
    case .addressDependent: "address-dependent"
    case .addressAndPortDependent: "address-and-port-dependent"
    }
  }

  private static func code(_ filtering: NATReport.Filtering) -> String? {
    switch filtering {
    case .unknown: nil
    case .endpointIndependent: "endpoint-independent"
    case .addressDependent: "address-dependent"
    case .addressAndPortDependent: "address-and-port-dependent"
    }
  }
}
