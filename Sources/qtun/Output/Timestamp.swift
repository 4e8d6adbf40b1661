import Glibc

/// A moment of civil time, for log lines that are read by machines.
struct Timestamp: Equatable, Sendable {
  /// Seconds since 1970-01-01T00:00:00Z.
  let seconds: Int64
  /// Nanoseconds within the second, 0 to 999,999,999.
  let nanoseconds: Int64

  /// The present moment by the system's clock.
  static func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }

  /// A moment to the second, in UTC, for people: `2026-12-01T15:30:00Z`.
  static func text(seconds: UInt64) -> String {
    let moment = Timestamp(seconds: Int64(clamping: seconds), nanoseconds: 0)
    return String(moment.rfc3339.dropLast(5)) + "Z"
  }

  /// The moment as RFC 3339 §5.6 writes it, in UTC with milliseconds.
  var rfc3339: String {
    let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let second = seconds - days * 86_400
    let (year, month, day) = Self.civilDate(daysSince1970: days)
    let date = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))"
    let hour = Self.padded(second / 3600, 2)
    let minute = Self.padded(second / 60 % 60, 2)
    let rest = Self.padded(second % 60, 2)
    return "\(date)T\(hour):\(minute):\(rest).\(Self.padded(nanoseconds / 1_000_000, 3))Z"
  }

  /// The day of a date, counted from 1970-01-01; nil if the calendar has no such date.
  static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64? {
    guard (1...12).contains(month), (1...31).contains(day), (0...9999).contains(year) else {
      return nil
    }
    let yearFromMarch = month > 2 ? year : year - 1
    let era = (yearFromMarch >= 0 ? yearFromMarch : yearFromMarch - 399) / 400
    let yearOfEra = yearFromMarch - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    // The way back finds out about the 30th of February.
    guard civilDate(daysSince1970: days) == (year, month, day) else { return nil }
    return days
  }

  /// The proleptic Gregorian date; years are counted from March so that a leap day comes last.
  private static func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = daysSince1970 + 719_468  // days since 0000-03-01
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097  // 400 years each
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
