/// Metrics in the text format of Prometheus (version 0.0.4): a comment that explains each family, then a
/// line for each value.
struct MetricsText {
  private(set) var text = ""

  /// A family of one value.
  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Number) {
    add(name, kind, help, [(labels: [], value: value)])
  }

  /// A family with a value for each set of labels. Names and label values are ours, so nothing in them
  /// has to be escaped.
  mutating func add(
    _ name: String, _ kind: Kind, _ help: String,
    _ values: [(labels: [(name: String, value: String)], value: Number)]
  ) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for (labels, value) in values {
      let list = labels.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",")
      text += list.isEmpty ? "\(name) \(value.text)\n" : "\(name){\(list)} \(value.text)\n"
    }
  }

  /// What a family is.
  enum Kind: String {
    case counter
    case gauge
  }

  /// A value of either kind.
  enum Number {
    case whole(UInt64)
    case seconds(Duration)

    init(_ count: Int) { self = .whole(UInt64(clamping: count)) }

    var text: String {
      switch self {
      case .whole(let value): return String(value)
      case .seconds(let time):
        let nanoseconds = time.nanosecondsClamped
        let digits = String(nanoseconds % 1_000_000_000)
        let fraction = String(repeating: "0", count: 9 - digits.count) + digits
        return "\(nanoseconds / 1_000_000_000).\(fraction)"
      }
    }
  }
}

extension Duration {
  /// Zero for negative ones.
  fileprivate var nanosecondsClamped: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
