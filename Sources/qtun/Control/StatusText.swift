/// What `qtun status` shows to people of one run's answer. The answer came from another process, so
/// everything in it is escaped and nothing in it is taken for granted.
struct StatusText {
  let status: JSONValue

  /// The lines, without the last newline.
  var text: String {
    var lines = [
      Self.join([
        field(status, "role"), status["process"]?.number.map { "process \($0)" },
        time(status, "uptime_us").map { "up \($0)" },
      ])
    ]
    for service in status["services"]?.elements ?? [] {
      let name = field(service, "name")
      let place = field(service, "address") ?? field(service, "target")
      lines.append("  " + Self.join([name == "" ? nil : name, place]))
    }
    for place in status["public"]?.elements ?? [] {
      let name = field(place, "service")
      lines.append(
        "  " + Self.join(["public", field(place, "address"), name == "" ? nil : name]))
    }
    for health in status["health"]?.elements ?? [] {
      lines.append(
        "  "
          + Self.join([
            "health", field(health, "service") == "" ? nil : field(health, "service"),
            field(health, "state"), time(health, "age_us").map { "for \($0)" },
            field(health, "problem"),
          ]))
    }
    for relay in status["relays"]?.elements ?? [] {
      lines.append(
        "  "
          + Self.join([
            "relay", field(relay, "address") ?? field(relay, "identity"), field(relay, "state"),
            time(relay, "rtt_us").map { "rtt \($0)" },
            time(relay, "session_rtt_us").map { "to the peer by it \($0)" },
          ]))
    }
    if status["dialling"] == .flag(true) { lines.append("  no session; dialling") }
    for session in status["sessions"]?.elements ?? [] { lines += self.lines(session) }
    return lines.joined(separator: "\n")
  }

  private func lines(_ session: JSONValue) -> [String] {
    let sent = count(session, "packets_sent")
    var lines = [
      "  "
        + Self.join([
          field(session, "path"), time(session, "rtt_us").map { "rtt \($0)" },
          "loss \(Format.percentage(count(session, "packets_lost"), of: sent))",
          time(session, "age_us").map { "up \($0)" },
        ])
    ]
    if let silence = time(session, "silence_us") { lines.append("    no answer for \(silence)") }
    if let obstacle = field(session, "obstacle") { lines.append("    not better: \(obstacle)") }
    if let peer = field(session, "peer") { lines.append("    peer \(peer)") }
    let carriers = session["carriers"]?.members.map { name, bytes in
      let (sent, received) = (count(bytes, "bytes_sent"), count(bytes, "bytes_received"))
      return "\(TerminalText.escaped(name)) sent \(Format.bytes(sent)), "
        + "received \(Format.bytes(received))"
    }
    lines.append(
      "    "
        + Self.join(
          (carriers ?? []) + [
            count(session, "switches") > 0
              ? "moved \(Format.count(count(session, "switches"), "time"))" : nil,
            time(session, "last_proven_us").map { "last data proven \($0) ago" },
          ]))
    let flows = session["flows"]?.elements ?? []
    lines += flows.map(line)
    let open = count(session, "flows_open")
    if open > UInt64(flows.count) {
      lines.append("    and \(Format.count(open - UInt64(flows.count), "more flow"))")
    }
    return lines
  }

  private func line(_ flow: JSONValue) -> String {
    let service = field(flow, "service")
    return "    "
      + Self.join([
        flow["flow"]?.number.map { "flow \($0)" }, service == "" ? nil : service,
        time(flow, "age_us").map { "open \($0)" },
        "sent \(Format.bytes(count(flow, "bytes_sent")))",
        "received \(Format.bytes(count(flow, "bytes_received")))",
      ])
  }

  private static func join(_ parts: [String?]) -> String {
    parts.compactMap { $0 }.joined(separator: "  ")
  }

  private func field(_ value: JSONValue, _ name: String) -> String? {
    value[name]?.text.map { TerminalText.escaped(LogValue.bounded($0)) }
  }

  private func count(_ value: JSONValue, _ name: String) -> UInt64 {
    UInt64(max(0, value[name]?.number ?? 0))
  }

  private func time(_ value: JSONValue, _ name: String) -> String? {
    value[name]?.number.map { Format.duration(.microseconds(max(0, $0))) }
  }
}
