internal import QuicTransport
internal import Tunnel

/// The answer to `{"command":"status"}`: one run as a JSON object. Durations are in microseconds.
struct StatusJSON {
  let report: TunnelReport
  /// Writes what does not change while the run lives.
  let header: @Sendable (inout JSONWriter) -> Void
  /// A public address as visitors write it.
  var publicText: @Sendable (PublicAddress) -> String = { Describe.place($0, relay: "") }

  /// The answer, on one line.
  func text(process: Int32, uptime: Duration) -> String {
    var writer = JSONWriter()
    writer.object { json in
      json.member("event", "status")
      json.member("process", Int64(process))
      json.member("uptime_us", Self.microseconds(uptime))
      header(&json)
      json.member("dialling", report.isDialling)
      let totals = report.totals
      json.object("totals") { json in
        json.member("sessions_open", UInt64(totals.sessionsOpen))
        json.member("sessions", UInt64(totals.sessions))
        json.member("flows_open", UInt64(totals.flowsOpen))
        json.member("flows", UInt64(totals.flows))
        json.member("flows_failed", UInt64(totals.flowsFailed))
      }
      if !report.publicAddresses.isEmpty {
        json.array("public") { json in
          for address in report.publicAddresses {
            json.object { json in
              json.member("service", address.service)
              json.member("kind", address.kind.rawValue)
              json.member("address", publicText(address))
            }
          }
        }
      }
      if !report.health.isEmpty {
        json.array("health") { json in
          for health in report.health { json.object { Self.write(health, to: &$0) } }
        }
      }
      if !report.relays.isEmpty {
        json.array("relays") { json in
          for relay in report.relays { json.object { Self.write(relay, to: &$0) } }
        }
      }
      json.array("sessions") { json in
        for session in report.sessions { json.object { Self.write(session, to: &$0) } }
      }
    }
    return writer.text
  }

  /// Who a sharing run is, and what it offers.
  static func writeHeader(
    role: String, identity: PublicKey, shared: [NamedPlace], to json: inout JSONWriter
  ) {
    writeHeader(
      role: role, identity: identity,
      services: shared.map { ($0.name ?? "", "target", $0.place.description) }, to: &json)
  }

  /// Who a connecting run is, and what it opened.
  static func writeHeader(
    role: String, identity: PublicKey, opened: [OpenedService], to json: inout JSONWriter
  ) {
    writeHeader(
      role: role, identity: identity,
      services: opened.map { ($0.name, "address", $0.address.description) }, to: &json)
  }

  private static func writeHeader(
    role: String, identity: PublicKey, services: [(name: String, key: String, place: String)],
    to json: inout JSONWriter
  ) {
    json.member("role", role)
    json.member("identity", identity.description)
    json.array("services") { json in
      for service in services {
        json.object { json in
          json.member("name", service.name)
          json.member(service.key, service.place)
        }
      }
    }
  }

  private static func write(_ health: HealthReport, to json: inout JSONWriter) {
    json.member("service", health.service)
    json.member("state", health.isUp.map { $0 ? "up" : "down" } ?? "unknown")
    json.member("age_us", microseconds(health.age))
    json.member("problem", health.problem.map(Describe.problem))
  }

  private static func write(_ relay: RelayReport, to json: inout JSONWriter) {
    json.member("address", relay.address?.description)
    json.member("identity", relay.key.description)
    json.member("state", Describe.name(relay.standing))
    json.member("rtt_us", relay.roundTrip.map(microseconds))
    json.member("session_rtt_us", relay.sessionRoundTrip.map(microseconds))
  }

  private static func write(_ session: SessionReport, to json: inout JSONWriter) {
    json.member("peer", session.peer?.description)
    json.member("carrier", Describe.name(session.path.carrier))
    json.member("path", Describe.path(session.path))
    json.member("obstacle", session.obstacle.map(Describe.obstacle))
    json.member("age_us", microseconds(session.age))
    json.member("rtt_us", microseconds(session.rtt))
    json.member("packets_sent", session.packetsSent)
    json.member("packets_lost", session.packetsLost)
    json.object("carriers") { json in
      for (carrier, bytes) in session.carriers.sorted(by: { $0.key < $1.key }) {
        json.object(Describe.name(carrier)) { json in
          json.member("bytes_sent", bytes.sent)
          json.member("bytes_received", bytes.received)
        }
      }
    }
    json.member("switches", UInt64(session.switches))
    json.member("last_proven_us", session.lastProven.map(microseconds))
    json.member("silence_us", session.silence.map(microseconds))
    json.member("flows_open", UInt64(session.flowsOpen))
    json.array("flows") { json in
      for flow in session.flows { json.object { write(flow, to: &$0) } }
    }
  }

  private static func write(_ flow: FlowStatus, to json: inout JSONWriter) {
    json.member("flow", flow.number)
    json.member("service", flow.service)
    json.member("age_us", microseconds(flow.age))
    json.member("bytes_sent", flow.bytesSent)
    json.member("bytes_received", flow.bytesReceived)
  }

  private static func microseconds(_ time: Duration) -> Int64 {
    Int64(clamping: time.wholeNanoseconds / 1_000)
  }
}
