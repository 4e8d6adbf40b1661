import QuicTransport

@testable import Tunnel

/// What a share or a link told its owner, in order.
final class Journal {
  private(set) var events: [TunnelEvent] = []

  func note(_ event: TunnelEvent) {
    events.append(event)
  }

  var opened: Int { count { if case .sessionOpened = $0 { true } else { false } } }
  var limits: Int { count { if case .flowLimitReached = $0 { true } else { false } } }
  var flowsOpened: [Int64] {
    events.compactMap { if case .flowOpened(let number) = $0 { number } else { nil } }
  }
  var reports: [FlowReport] {
    events.compactMap { if case .flowEnded(let report) = $0 { report } else { nil } }
  }
  var datagramReports: [DatagramFlowReport] {
    events.compactMap { if case .datagramFlowEnded(let report) = $0 { report } else { nil } }
  }
  var refusals: [QuicError] {
    events.compactMap { if case .sessionRefused(_, let error) = $0 { error } else { nil } }
  }
  var ends: [QuicError] {
    events.compactMap { if case .sessionEnded(_, _, let error) = $0 { error } else { nil } }
  }
  var silences: [Duration] {
    events.compactMap { if case .sessionSilent(_, let time) = $0 { time } else { nil } }
  }
  var returns: [Duration] {
    events.compactMap { if case .sessionReturned(_, let time) = $0 { time } else { nil } }
  }
  var retries: [Int] {
    events.compactMap { if case .retrying(let attempt, _, _) = $0 { attempt } else { nil } }
  }
  var goodbyes: [String] {
    events.compactMap { if case .peerDraining(let reason) = $0 { reason } else { nil } }
  }

  private func count(_ isCounted: (TunnelEvent) -> Bool) -> Int {
    events.reduce(0) { isCounted($1) ? $0 + 1 : $0 }
  }
}
