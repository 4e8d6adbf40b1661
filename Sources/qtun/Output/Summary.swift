/// What a run of `share` or `connect` did, told at its end.
struct Summary: Equatable, Sendable {
  /// From the start of the run to its end.
  var duration: Duration = .zero
  /// Sessions that were established.
  var sessions: UInt64 = 0
  /// Flows that were opened, including those that failed.
  var flows: UInt64 = 0
  /// Flows that ended by refusal or reset.
  var flowsFailed: UInt64 = 0
  /// UDP flows.
  var datagramFlows: UInt64 = 0
  /// UDP datagrams of local programs that were sent to the peer.
  var datagramsSent: UInt64 = 0
  /// UDP datagrams from the peer that were passed on.
  var datagramsReceived: UInt64 = 0
  /// UDP datagrams that this side dropped.
  var datagramsDropped: UInt64 = 0
  /// Payload sent to the peer, of all kinds of flows.
  var bytesSent: UInt64 = 0
  /// Payload received from the peer.
  var bytesReceived: UInt64 = 0
  /// The last smoothed round-trip time; nil without a session.
  var rtt: Duration?
  /// QUIC packets that we sent.
  var packetsSent: UInt64 = 0
  /// Those of them that were declared lost.
  var packetsLost: UInt64 = 0
  /// The HTTP requests that passed.
  var requests = RequestTally()

  /// For standard error: one line, and another one about requests where there were some.
  var text: String {
    requests.count > 0 ? "\(connectionText)\n\(requests.text)" : connectionText
  }

  private var connectionText: String {
    guard sessions > 0 || flows > 0 else {
      return "done: no session in \(Format.duration(duration))"
    }
    var line = "done: \(Format.count(flows, "flow"))"
    if flowsFailed > 0 { line += " (\(flowsFailed) failed)" }
    line += ", sent \(Format.bytes(bytesSent)), received \(Format.bytes(bytesReceived))"
    line += " in \(Format.duration(duration))"
    if datagramFlows > 0 {
      line += ", \(Format.count(datagramFlows, "udp flow")): \(datagramsSent) datagrams sent, "
      line += "\(datagramsReceived) received, \(datagramsDropped) dropped"
    }
    if sessions > 1 { line += ", \(Format.count(sessions, "session"))" }
    if let rtt { line += ", rtt \(Format.roundTripTime(rtt))" }
    // Visitors of public addresses come over the relay's connection, which is not counted.
    guard sessions > 0 else { return line }
    return line + ", loss \(Format.percentage(packetsLost, of: packetsSent))"
  }

  /// One JSON object on one line, for standard output.
  var json: String {
    var writer = JSONWriter()
    writer.object { summary in
      summary.member("event", "summary")
      LogField(.duration, .time(duration)).write(to: &summary)
      summary.member("sessions", sessions)
      summary.member("flows", flows)
      summary.member("flows_failed", flowsFailed)
      summary.member("udp_flows", datagramFlows)
      summary.member("datagrams_sent", datagramsSent)
      summary.member("datagrams_received", datagramsReceived)
      summary.member("datagrams_dropped", datagramsDropped)
      summary.member("bytes_sent", bytesSent)
      summary.member("bytes_received", bytesReceived)
      if let rtt {
        LogField(.rtt, .time(rtt)).write(to: &summary)
      } else {
        summary.member("rtt_us", nil as Int64?)
      }
      summary.member("packets_sent", packetsSent)
      summary.member("packets_lost", packetsLost)
      if requests.count > 0 { requests.write(to: &summary) }
    }
    return writer.text
  }
}
