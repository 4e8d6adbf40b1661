import Testing

@testable import qtun

@Suite("Format")
struct FormatTests {
  @Test(
    "bytes",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"), (10_240, "10.0 KiB"),
      (1_048_575, "1.00 MiB"), (268_435_456, "256 MiB"), (1 << 30, "1.00 GiB"),
      (UInt64.max, "16.0 EiB"),
    ])
  func bytes(count: UInt64, expected: String) {
    #expect(Format.bytes(count) == expected)
  }

  @Test(
    "rates are in bits, by powers of 1000",
    arguments: [
      (0, 1000, "0.00 bit/s"), (125, 1000, "1.00 kbit/s"), (118_750_000, 1000, "950 Mbit/s"),
      (125_000_000, 1000, "1.00 Gbit/s"), (512_500_000, 500, "8.20 Gbit/s"), (1, 0, "-"),
    ])
  func rate(bytes: UInt64, milliseconds: Int, expected: String) {
    #expect(Format.rate(bytes: bytes, in: .milliseconds(milliseconds)) == expected)
  }

  @Test(
    "durations have at most two units",
    arguments: [
      (0, "0 us"), (850, "850 us"), (120_000, "120 ms"), (12_340_000, "12.3 s"),
      (59_940_000, "59.9 s"), (59_960_000, "1m 00s"), (125_000_000, "2m 05s"),
      (3_599_600_000, "1h 00m"), (11_520_000_000, "3h 12m"), (187_200_000_000, "2d 04h"),
    ])
  func duration(microseconds: Int, expected: String) {
    #expect(Format.duration(.microseconds(microseconds)) == expected)
  }

  @Test(
    "round-trip times",
    arguments: [
      (0, "0 us"), (85_400, "85.4 us"), (1_250_000, "1.25 ms"), (40_320_000, "40.3 ms"),
      (999_600, "1.00 ms"), (2_000_000_000, "2.00 s"), (-5, "0 us"),
    ])
  func roundTripTime(nanoseconds: Int, expected: String) {
    #expect(Format.roundTripTime(.nanoseconds(nanoseconds)) == expected)
  }

  @Test(
    "exact durations are what the command line reads",
    arguments: [
      (0, "0s"), (500, "500ms"), (60_000, "1m"), (5_400_000, "1h30m"), (90_061_001, "1d1h1m1s1ms"),
    ])
  func exact(milliseconds: Int, expected: String) throws {
    let time = Duration.milliseconds(milliseconds)
    #expect(Format.exact(time) == expected)
    let parser = ValueParser<Duration>.duration(in: .zero ... .seconds(1_000_000))
    #expect(try parser.parse(Format.exact(time)) == time)
  }

  @Test(
    "a percentage that is not zero is never shown as zero",
    arguments: [
      (0, 0, "0 %"), (0, 5, "0 %"), (1, 1_000_000, "<0.01 %"), (3, 10_000, "0.03 %"),
      (1, 8, "12.5 %"), (5, 5, "100 %"),
    ])
  func percentage(part: UInt64, whole: UInt64, expected: String) {
    #expect(Format.percentage(part, of: whole) == expected)
  }

  @Test("fixed decimals round, keep leading zeros, and never trap")
  func fixed() {
    #expect(Format.fixed(1.005, decimals: 1) == "1.0")
    #expect(Format.fixed(0.049, decimals: 2) == "0.05")
    #expect(Format.fixed(-0.5, decimals: 1) == "-0.5")
    #expect(Format.fixed(-0.001, decimals: 1) == "0.0")
    #expect(Format.fixed(2.5, decimals: 0) == "3")
    #expect(Format.fixed(.infinity, decimals: 0) == "9000000000000000000")
    #expect(Format.fixed(.nan, decimals: 0) == "9000000000000000000")
  }

  @Test("a noun follows its number")
  func count() {
    #expect(Format.count(0, "flow") == "0 flows")
    #expect(Format.count(1, "flow") == "1 flow")
  }
}
