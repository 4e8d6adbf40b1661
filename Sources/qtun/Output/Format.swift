/// Numbers in the form in which people read them: three digits and a unit.
///
/// Bytes go by powers of 1024 and say so (KiB); bits per second by powers of 1000, as networks do.
enum Format {
  /// A count of bytes, such as `1.50 MiB`.
  static func bytes(_ count: UInt64) -> String {
    if count < 1024 { return "\(count) B" }
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    return scaled(Double(count) / 1024, step: 1024, units: units)
  }

  /// A rate of so many bytes in so much time, such as `950 Mbit/s`.
  static func rate(bytes count: UInt64, in time: Duration) -> String {
    let seconds = seconds(time)
    guard seconds > 0 else { return "-" }
    let bits = Double(count) * 8 / seconds
    return scaled(bits, step: 1000, units: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
  }

  /// A span of time as it is written on a command line, to the millisecond, such as `1h30m`.
  static func exact(_ time: Duration) -> String {
    var rest = Int64((max(0, seconds(time)) * 1000).rounded())
    var text = ""
    for (unit, milliseconds) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
      let (count, remainder) = rest.quotientAndRemainder(dividingBy: Int64(milliseconds))
      if count > 0 { text += "\(count)\(unit)" }
      rest = remainder
    }
    if rest > 0 { text += "\(rest)ms" }
    return text.isEmpty ? "0s" : text
  }

  /// A span of time, such as `12.3 s` or `3h 05m`; never more than two units.
  static func duration(_ time: Duration) -> String {
    let total = seconds(time)
    guard total >= 59.95 else { return roundTripTime(time) }
    // From an hour on, seconds are noise; from a day on, minutes are.
    let whole = Int64(total.rounded())
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400)
    if days > 0 { return "\(days)d \(twoDigits(hours % 24))h" }
    if hours > 0 { return "\(hours)h \(twoDigits(minutes % 60))m" }
    return "\(minutes)m \(twoDigits(whole % 60))s"
  }

  /// A round-trip time, such as `85.0 us` or `40.3 ms`.
  static func roundTripTime(_ time: Duration) -> String {
    guard time > .zero else { return "0 us" }
    return scaled(seconds(time) * 1e6, step: 1000, units: ["us", "ms", "s"])
  }

  /// A share of a whole, such as `0.03 %`; what is not zero is never shown as zero.
  static func percentage(_ part: UInt64, of whole: UInt64) -> String {
    guard whole > 0, part > 0 else { return "0 %" }
    let percent = Double(part) * 100 / Double(whole)
    return percent < 0.01 ? "<0.01 %" : "\(threeDigits(percent)) %"
  }

  /// A count with its noun, such as `1 flow` or `2 flows`.
  static func count(_ number: UInt64, _ noun: String) -> String {
    number == 1 ? "1 \(noun)" : "\(number) \(noun)s"
  }

  /// A number with a fixed number of decimals; the standard library has no such thing.
  static func fixed(_ value: Double, decimals: Int) -> String {
    var unit: Int64 = 1
    for _ in 0..<decimals { unit *= 10 }
    let scaled = (value.magnitude * Double(unit)).rounded()
    // 2^63 is far above every figure shown; a larger one is clamped rather than trapping.
    let digits = scaled < 9e18 ? Int64(scaled) : 9_000_000_000_000_000_000
    let sign = value < 0 && digits > 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(digits)" }
    let fraction = String(digits % unit)
    let zeros = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(digits / unit).\(zeros)\(fraction)"
  }

  /// A duration in seconds, as a number to calculate with.
  static func seconds(_ time: Duration) -> Double {
    let (seconds, attoseconds) = time.components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}

// MARK: - Internals

extension Format {
  private static func scaled(_ value: Double, step: Double, units: [String]) -> String {
    var value = value
    var index = 0
    // The bound is where rounding would show a full step: 1000 Mbit/s is 1.00 Gbit/s.
    while value >= step - 0.5, index < units.count - 1 {
      value /= step
      index += 1
    }
    return "\(threeDigits(value)) \(units[index])"
  }

  private static func threeDigits(_ value: Double) -> String {
    fixed(value, decimals: value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
  }

  private static func twoDigits(_ value: Int64) -> String {
    value < 10 ? "0\(value)" : "\(value)"
  }
}
