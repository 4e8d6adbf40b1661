import QuicTransport
import Testing
import Tunnel

@testable import qtun

@Suite("Ping tally")
struct PingTallyTests {
  private static let place = SocketAddress(ipv4: 0xc000_0207, port: 4_433)

  private func answer(_ carrier: CarrierKind, _ milliseconds: Int) -> PingAnswer {
    PingAnswer(
      roundTrip: .milliseconds(milliseconds),
      path: SessionPath(carrier: carrier, remote: Self.place))
  }

  @Test("each line names the road, the address and the time")
  func lines() {
    #expect(PingTally.line(1, answer(.udp, 12), isJSON: false) == "1 direct 192.0.2.7:4433 12.0 ms")
    #expect(PingTally.line(2, answer(.tcp, 12), isJSON: false) == "2 tcp 192.0.2.7:4433 12.0 ms")
    #expect(PingTally.line(3, nil, isJSON: false) == "3 lost")
    #expect(
      PingTally.line(1, answer(.udp, 12), isJSON: true)
        == #"{"event":"answer","number":1,"road":"direct","address":"192.0.2.7:4433","rtt_us":12000}"#
    )
    #expect(PingTally.line(3, nil, isJSON: true) == #"{"event":"lost","number":3}"#)
  }

  @Test("the sum counts what was lost, and knows whether a direct answer came")
  func sum() {
    var tally = PingTally()
    #expect(tally.begin() == 1)
    tally.end(answer(.tcp, 30))
    tally.end(nil)
    tally.end(answer(.tcp, 10))
    #expect(!tally.isDirect && tally.begin() == 4)
    tally.end(answer(.udp, 20))
    #expect(tally.isDirect)
    #expect(
      tally.text
        == "4 sent, 3 answered, 25.0 % lost, 10.0 ms least, 20.0 ms median, 30.0 ms most")
    #expect(
      tally.json
        == #"{"event":"summary","sent":4,"answered":3,"direct":true,"rtt_min_us":10000,"#
        + #""rtt_median_us":20000,"rtt_max_us":30000}"#)
  }

  @Test("without an answer there are no times")
  func nothing() {
    var tally = PingTally()
    tally.end(nil)
    #expect(tally.text == "1 sent, 0 answered, 100 % lost")
  }
}
