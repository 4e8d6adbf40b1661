import Testing

@testable import qtun

@Suite("Timestamp")
struct TimestampTests {
  @Test(
    "RFC 3339 in UTC, also around leap days and before 1970",
    arguments: [
      (0, 0, "1970-01-01T00:00:00.000Z"), (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
      (951_868_799, 999_999_999, "2000-02-29T23:59:59.999Z"),
      (951_868_800, 1_000_000, "2000-03-01T00:00:00.001Z"),
      (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
      (1_735_689_599, 0, "2024-12-31T23:59:59.000Z"),
      (-1, 0, "1969-12-31T23:59:59.000Z"), (-86_400, 0, "1969-12-31T00:00:00.000Z"),
    ])
  func rfc3339(seconds: Int64, nanoseconds: Int64, expected: String) {
    #expect(Timestamp(seconds: seconds, nanoseconds: nanoseconds).rfc3339 == expected)
  }

  @Test("each day of four centuries is found again by its date, and no other date is a day")
  func dates() {
    var day = Timestamp.daysSince1970(year: 1_900, month: 1, day: 1)
    #expect(day == -25_567)
    for year: Int64 in 1_900..<2_300 {
      for month: Int64 in 1...12 {
        for number: Int64 in 1...31 {
          guard let found = Timestamp.daysSince1970(year: year, month: month, day: number) else {
            continue
          }
          guard found == day else {
            Issue.record("\(year)-\(month)-\(number) is \(found)")
            return
          }
          day = found + 1
        }
      }
    }
    #expect(Timestamp.daysSince1970(year: 2_300, month: 1, day: 1) == day)
    for (year, month, number) in [(2_026, 2, 29), (2_100, 2, 29), (2_026, 13, 1), (2_026, 4, 31)] {
      let day = Timestamp.daysSince1970(
        year: Int64(year), month: Int64(month), day: Int64(number))
      #expect(day == nil)
    }
    #expect(Timestamp.text(seconds: 951_868_799) == "2000-02-29T23:59:59Z")
  }

  @Test("the clock of the system is in this century")
  func now() {
    #expect(Timestamp.now().rfc3339.hasPrefix("20"))
    #expect((0..<1_000_000_000).contains(Timestamp.now().nanoseconds))
  }
}
