internal import QuicTransport

/// What `/metrics` says of a relay.
struct RelayMetrics {
  let totals: RelayTotals
  let process: ProcessFacts
  let lag: Duration
  let uptime: Duration

  var text: String {
    var metrics = MetricsText()
    addNodes(to: &metrics)
    addForwarding(to: &metrics)
    if let listening = totals.listening { add(listening, to: &metrics) }
    addRefusals(to: &metrics)
    addTokens(to: &metrics)
    addProcess(to: &metrics)
    return metrics.text
  }

  private func addNodes(to metrics: inout MetricsText) {
    metrics.add(
      "qtun_nodes", .gauge, "Nodes that are connected.", .init(totals.nodesOpen))
    metrics.add(
      "qtun_nodes_registered", .gauge, "Nodes that can be found.", .init(totals.nodesRegistered))
    metrics.add(
      "qtun_handshakes", .gauge, "Connections over UDP or TCP whose handshake is not done.",
      .init(totals.handshakesOpen))
    metrics.add("qtun_nodes_total", .counter, "Nodes that came.", .init(totals.nodes))
    metrics.add(
      "qtun_introductions", .gauge, "Introductions, asked for or agreed to.",
      .init(totals.introductionsOpen))
    metrics.add(
      "qtun_introductions_total", .counter, "Introductions that were agreed to.",
      .init(totals.introductions))
    metrics.add(
      "qtun_draining", .gauge, "Whether the relay is about to stop.",
      .init(totals.isDraining ? 1 : 0))
  }

  private func addForwarding(to metrics: inout MetricsText) {
    let totals = totals.forwarding
    metrics.add(
      "qtun_sessions", .gauge, "Sessions that the relay moves data for.",
      .init(totals.sessionsOpen))
    metrics.add("qtun_sessions_total", .counter, "The same in all.", .init(totals.sessions))
    let kinds: [(CarrierKind, String)] = [(.udp, "udp"), (.tcp, "tcp"), (.webSocket, "ws")]
    metrics.add(
      "qtun_forwarded_packets_total", .counter, "Datagrams, by what carried them to the node.",
      kinds.map { ([("carrier", $0.1)], .whole(totals.traffic(over: $0.0).datagrams)) })
    metrics.add(
      "qtun_forwarded_bytes_total", .counter, "Bytes of them, without the relay's header.",
      kinds.map { ([("carrier", $0.1)], .whole(totals.traffic(over: $0.0).bytes)) })
    let rates: [(String, ForwardingRate)] = [
      ("session_rate", .session), ("identity_rate", .identity), ("address_rate", .address),
      ("token_rate", .token),
    ]
    metrics.add(
      "qtun_dropped_packets_total", .counter, "Datagrams that were not forwarded, and why.",
      rates.map { ([("reason", $0.0)], .whole(totals.throttled(by: $0.1))) } + [
        ([("reason", "total_rate")], .whole(totals.datagramsCrowdedOut)),
        ([("reason", "unknown")], .whole(totals.datagramsUnknown)),
        ([("reason", "overrun")], .whole(totals.datagramsOverrun)),
      ])
    let shards = totals.shards.enumerated().map { ([("shard", String($0.offset))], $0.element) }
    metrics.add(
      "qtun_shard_sessions", .gauge, "Sessions of each core that forwards.",
      shards.map { ($0.0, .init($0.1.sessionsOpen)) })
    metrics.add(
      "qtun_shard_packets_total", .counter, "Datagrams that each core forwarded.",
      shards.map { ($0.0, .whole($0.1.datagrams)) })
    metrics.add(
      "qtun_shard_bytes_total", .counter, "Bytes of them, without the relay's header.",
      shards.map { ($0.0, .whole($0.1.bytes)) })
    metrics.add(
      "qtun_shard_handovers_total", .counter,
      "Datagrams that came in at another core than their session's, by the one that they came to.",
      shards.map { ($0.0, .whole($0.1.datagramsHandedOver)) })
    metrics.add(
      "qtun_bindings_total", .counter, "Legs that moved to another address.",
      .init(totals.bindings))
  }

  private func add(_ totals: PublicTotals, to metrics: inout MetricsText) {
    metrics.add(
      "qtun_listeners", .gauge, "Public listeners of nodes.", .init(totals.listenersOpen))
    metrics.add(
      "qtun_listeners_down", .gauge,
      "Those of them whose node says that its target fails the health check.",
      .init(totals.listenersDown))
    metrics.add(
      "qtun_listens_refused_total", .counter, "Requests to listen publicly that were refused.",
      .whole(totals.listensRefused))
    metrics.add(
      "qtun_leases", .gauge, "Public ports and names that belong to somebody.",
      .init(totals.leases))
    metrics.add(
      "qtun_visitors", .gauge, "TCP connections of visitors.", .init(totals.visitorsOpen))
    metrics.add(
      "qtun_visitors_total", .counter, "The same in all.", .whole(totals.visitors))
    metrics.add(
      "qtun_visitors_refused_total", .counter,
      "Visitors beyond a limit, or of a name that nobody serves.",
      .whole(totals.visitorsRefused))
  }

  private func addRefusals(to metrics: inout MetricsText) {
    metrics.add(
      "qtun_refusals_total", .counter, "Nodes and requests that were turned away, and why.",
      RelayTotals.Refusal.allKinds.map {
        ([("reason", $0.label)], .whole(totals.refusals[$0] ?? 0))
      })
    metrics.add(
      "qtun_throttles_total", .counter, "Requests that came too fast or were too many.",
      RelayTotals.Throttle.allCases.map {
        ([("what", $0.rawValue)], .whole(totals.throttles[$0] ?? 0))
      } + [([("what", "bindings")], .whole(totals.forwarding.bindingsThrottled))])
  }

  private func addTokens(to metrics: inout MetricsText) {
    metrics.add(
      "qtun_tokens_total", .counter, "Tokens that were looked at.",
      [
        ([("result", "good")], .whole(totals.tokensGood)),
        ([("result", "bad")], .whole(totals.tokensBad)),
      ])
  }

  private func addProcess(to metrics: inout MetricsText) {
    metrics.add(
      "process_resident_memory_bytes", .gauge, "Memory.", .whole(process.residentBytes))
    metrics.add("process_open_fds", .gauge, "Descriptors.", .init(process.openDescriptors))
    metrics.add(
      "process_max_fds", .gauge, "As many as there may be.", .whole(process.descriptorsMax))
    metrics.add(
      "process_cpu_seconds_total", .counter, "Processor time.", .seconds(process.processorTime))
    metrics.add("qtun_uptime_seconds", .gauge, "Since the start.", .seconds(uptime))
    metrics.add(
      "qtun_event_loop_lag_seconds", .gauge,
      "By how much the event loop was late, at most, in the last minute.", .seconds(lag))
  }
}

extension RelayTotals.Refusal {
  /// Each that there is, so that a counter is there before it counts.
  static let allKinds: [Self] =
    [.nodes, .nodesOfAddress, .idle, .flood, .draining, .tokens]
    + RelayDenial.allCases.filter { ![.other, .restarting].contains($0) }.map { .denied($0) }
    + [RelayRefusal.full, .identityLimit, .addressLimit, .samePath].map { .forwarding($0) }

  /// The value of its label.
  var label: String {
    switch self {
    case .nodes: "nodes"
    case .nodesOfAddress: "nodes_of_address"
    case .idle: "idle"
    case .flood: "flood"
    case .draining: "draining"
    case .tokens: "tokens"
    case .denied(.tokenNeeded): "token_needed"
    case .denied(.tokenWrong): "token_wrong"
    case .denied(.tokenExpired): "token_expired"
    case .denied(.tokenRevoked): "token_revoked"
    case .denied(.identityNotAllowed): "identity"
    case .denied(.undecidable): "undecidable"
    case .denied(.notInScope): "scope"
    case .denied(.other), .denied(.restarting): "other"
    case .forwarding(.full): "sessions"
    case .forwarding(.identityLimit): "sessions_of_identity"
    case .forwarding(.addressLimit): "sessions_of_address"
    case .forwarding(.samePath): "same_path"
    case .forwarding(.other): "sessions_other"
    }
  }
}
