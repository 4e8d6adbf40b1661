internal import QuicTransport

extension LinkCore {
  /// What the link does now, for who asks.
  var report: TunnelReport {
    guard let session = openSession else {
      return TunnelReport(
        totals: statistics, sessions: [], relays: meeting?.relayReports ?? [], isDialling: true)
    }
    let now = loop.now
    let open = flows.values.sorted { $0.number < $1.number }
    let report = session.report(
      path: describe(session.currentRoad),
      flows: open.prefix(SessionReport.flowsMax).map { $0.status(now: now) },
      flowsOpen: open.count)
    return TunnelReport(
      totals: statistics, sessions: report.map { [$0] } ?? [],
      relays: meeting?.relayReports ?? [], isDialling: false)
  }
}
