import Testing
import Tunnel

@testable import qtun

@Suite("Request tally")
struct RequestTallyTests {
  static func report(
    _ status: Int?, _ time: Duration, method: String = "GET", path: String = "/",
    whole: Bool = true,
    service: String = ""
  ) -> RequestReport {
    RequestReport(
      flow: 4, service: service, method: method, path: path, status: status, isWhole: whole,
      answerBytes: 10, duration: time)
  }

  @Test("percentiles are those of the times, at most 3 % too long")
  func percentiles() throws {
    var tally = RequestTally()
    #expect(tally.percentile(50) == nil)
    for number in 1...1_000 { tally.note(Self.report(200, .microseconds(number * 97))) }
    for (percent, rank) in [(50, 500), (90, 900), (99, 990), (100, 1_000), (0, 1)]
      as [(UInt64, Int)]
    {
      let exact = Duration.microseconds(rank * 97)
      let told = try #require(tally.percentile(percent))
      #expect(told >= exact && told <= exact + exact / 32)
    }
  }

  @Test("few and extreme times are told of as they are")
  func extremes() {
    var tally = RequestTally()
    tally.note(Self.report(200, .microseconds(7)))
    #expect(tally.percentile(50) == .microseconds(7) && tally.percentile(99) == .microseconds(7))
    tally.note(Self.report(200, .seconds(400_000)))
    #expect(tally.percentile(50) == .microseconds(7))
    #expect(tally.percentile(99) == .seconds(400_000))
  }

  @Test("a line for people and an object for programs")
  func forms() {
    var tally = RequestTally()
    for status in [200, 204, 302, 404, 500, 101] {
      tally.note(Self.report(status, .milliseconds(2)))
    }
    tally.note(Self.report(nil, .seconds(9), whole: false))
    #expect(
      tally.text
        == "requests: 7, 1 1xx, 2 2xx, 1 3xx, 1 4xx, 1 5xx, 1 broken off; time least 2.00 ms, "
        + "average 2.00 ms, p50 2.00 ms, p90 2.00 ms, p99 2.00 ms, most 2.00 ms")
    var writer = JSONWriter()
    writer.object { tally.write(to: &$0) }
    #expect(
      writer.text == #"{"requests":{"count":7,"1xx":1,"2xx":2,"3xx":1,"4xx":1,"5xx":1,"broken":1,"#
        + #""answer_bytes":70,"time_min_us":2000,"time_average_us":2000,"time_p50_us":2000,"#
        + #""time_p90_us":2000,"time_p99_us":2000,"time_max_us":2000}}"#)
  }

  @Test("the summary of a run without requests does not mention them")
  func none() {
    #expect(!Summary().text.contains("requests") && !Summary().json.contains("requests"))
  }
}
