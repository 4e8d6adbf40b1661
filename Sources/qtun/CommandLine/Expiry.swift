/// When a ticket is to end, as the command line says it.
enum Expiry: Equatable, Sendable {
  /// So long after now.
  case after(Duration)
  /// At this time, in seconds since 1970 (UTC).
  case at(UInt64)

  /// The time in seconds since 1970; nil if it is over at `now` already.
  func time(now: Timestamp) -> UInt64? {
    let seconds =
      switch self {
      // Rounded up: a ticket for half a second is not over at once.
      case .after(let duration): now.seconds + Int64(Format.seconds(duration).rounded(.up))
      case .at(let time): Int64(time)
      }
    return seconds > now.seconds ? UInt64(seconds) : nil
  }

  /// The longest time from now: what is wanted for longer is better taken back by hand.
  static let durationMax = Duration.seconds(3_650 * 86_400)
}

extension ValueParser where Value == Expiry {
  /// A duration such as `24h`, or a date such as `2026-12-01` or `2026-12-01T15:30Z`, in UTC.
  static let expiry = ValueParser { (text) throws(ValueProblem) in
    if let time = parseDate(text) { return .at(time) }
    do throws(ValueProblem) {
      let range = Duration.seconds(1)...Expiry.durationMax
      return .after(try ValueParser<Duration>.duration(in: range).parse(text))
    } catch {
      // A number with a unit was meant as a duration.
      guard text.contains("-") || text.contains(":") else { throw error }
      throw ValueProblem(
        text, "is not a date", fix: "write it like 2026-12-01 or 2026-12-01T15:30Z, or like 24h")
    }
  }

  /// RFC 3339 §5.6 to the day or the minute.
  private static func parseDate(_ text: String) -> UInt64? {
    let digits = Array(text.utf8)
    guard digits.count == 10 || digits.count == 17 else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
      guard digits[range].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      return Int64(String(decoding: digits[range], as: UTF8.self))
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      digits[4] == 0x2d, digits[7] == 0x2d,
      let days = Timestamp.daysSince1970(year: year, month: month, day: day), days >= 0
    else { return nil }
    guard digits.count == 17 else { return UInt64(days) * 86_400 }
    guard let hour = number(11..<13), let minute = number(14..<16), hour < 24, minute < 60,
      digits[10] == UInt8(ascii: "T"), digits[13] == 0x3a, digits[16] == UInt8(ascii: "Z")
    else { return nil }
    return UInt64(days * 86_400 + hour * 3600 + minute * 60)
  }
}
