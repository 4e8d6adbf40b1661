import Testing

@testable import qtun

@Suite("Summary")
struct SummaryTests {
  private let summary = Summary(
    duration: .milliseconds(12_340), sessions: 1, flows: 12, flowsFailed: 1,
    bytesSent: 268_435_456, bytesReceived: 1_258_291, rtt: .microseconds(85), packetsSent: 10_000,
    packetsLost: 2)

  @Test("one line for people")
  func text() {
    #expect(
      summary.text
        == "done: 12 flows (1 failed), sent 256 MiB, received 1.20 MiB in 12.3 s, rtt 85.0 us, "
        + "loss 0.02 %")
  }

  @Test("several sessions are counted")
  func sessions() {
    var several = summary
    several.sessions = 2
    several.flowsFailed = 0
    several.rtt = nil
    #expect(
      several.text
        == "done: 12 flows, sent 256 MiB, received 1.20 MiB in 12.3 s, 2 sessions, loss 0.02 %")
  }

  @Test("UDP flows are told of where there were some")
  func datagrams() {
    var mixed = summary
    mixed.datagramFlows = 2
    mixed.datagramsSent = 10
    mixed.datagramsReceived = 9
    mixed.datagramsDropped = 1
    #expect(
      mixed.text.contains(
        " in 12.3 s, 2 udp flows: 10 datagrams sent, 9 received, 1 dropped, rtt 85.0 us"))
  }

  @Test("a run without a session says so")
  func none() {
    #expect(Summary(duration: .seconds(61)).text == "done: no session in 1m 01s")
  }

  @Test("visitors without a session are told of, too")
  func visitors() {
    let visits = Summary(duration: .seconds(61), flows: 3, bytesSent: 1_024, bytesReceived: 10)
    #expect(visits.text == "done: 3 flows, sent 1.00 KiB, received 10 B in 1m 01s")
  }

  @Test("one object for machines, with exact numbers")
  func json() {
    #expect(
      summary.json == #"{"event":"summary","duration_us":12340000,"sessions":1,"flows":12,"#
        + #""flows_failed":1,"udp_flows":0,"datagrams_sent":0,"datagrams_received":0,"#
        + #""datagrams_dropped":0,"bytes_sent":268435456,"bytes_received":1258291,"rtt_us":85,"#
        + #""packets_sent":10000,"packets_lost":2}"#)
    #expect(Summary().json.contains(#""rtt_us":null,"#))
  }
}
