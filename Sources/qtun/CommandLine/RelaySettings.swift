internal import Tunnel

/// What `qtun relay` needs.
struct RelaySettings: Equatable, Sendable {
  /// The UDP and TCP address to listen on; nil for every address and the usual port.
  let listen: HostPort?
  /// How others call this machine; nil for one of its addresses.
  let name: HostPort?
  /// The file with the private key; the tokens are beside it.
  let identityFile: String
  /// Who may register without a token; nil where nobody is named.
  let allowed: [AllowEntry]
  /// Whether everybody may.
  let isOpen: Bool
  /// What is granted to whom.
  let limits: RelayLimits
  /// Where operators look; nil for nowhere.
  let admin: HostPort?
  /// How long nodes that talk through the relay may go on when it is told to stop.
  let drain: Duration
  /// Processors to forward on; nil for what the machine has.
  let cores: Int?
  /// A file with more options, and the command line that stands above it.
  let config: Config?
  /// Where it listens for others.
  var listening = PublicRelaySettings()

  /// A file of options.
  struct Config: Equatable, Sendable {
    let file: String
    /// The whole command line, which goes before the file.
    let arguments: [String]
    /// The options that it has.
    let given: Set<String>
  }

  /// How long a relay waits where nothing is said: nodes with another relay are there in a second,
  /// for others each moment that it lasts is one without a gap.
  static let drainDefault = Duration.seconds(3)
  /// What a relay takes of a large machine where nothing is said: 8 times 2 Gbit/s, far above the
  /// total rate that it starts with.
  static let coresDefaultMax = 8
}

/// Where a token for relays comes from; it has not been looked into.
enum RelayTokenSource: Equatable, Sendable {
  /// The first line of a file.
  case file(String)
  /// It stood in QTUN_RELAY_TOKEN, perhaps with others.
  case environment(String)
}

/// What `qtun token` needs.
struct TokenSettings: Equatable, Sendable {
  /// The relay's key file.
  let identityFile: String
  /// What to do.
  let action: Action

  /// One of the commands under `qtun token`.
  enum Action: Equatable, Sendable {
    /// Make one; with a name and an address, the line for the other side is complete.
    case add(scope: RelayScope, expires: Expiry?, label: String?)
    case list
    /// Take one back, by its name, its label or its text.
    case revoke(String)
  }
}

/// One `NAME=N` of --limit.
struct RelayLimitChoice: Equatable, Sendable {
  let limit: RelayLimit
  let value: Int
}

extension ValueParser where Value == RelayLimitChoice {
  /// `NAME=N`, or `NAME=RATE` for rates.
  static let relayLimit = ValueParser { (text) throws(ValueProblem) in
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ValueProblem(text, "sets nothing", fix: "write it like nodes=2000")
    }
    let name = String(parts[0])
    guard let limit = RelayLimit(rawValue: name) else {
      let nearest = Spelling.nearest(to: name, among: RelayLimit.allCases.map(\.rawValue))
      throw ValueProblem(
        name, "is no limit",
        fix: nearest.map { "did you mean \($0)?" } ?? "choose one that `qtun help limits` lists")
    }
    let word = String(parts[1])
    let value = limit.isByteRate ? try ValueParser<Int>.byteRate.parse(word) : Int(word)
    guard let value, limit.range.contains(value) else {
      throw ValueProblem(
        word, "is out of range for \(name)",
        fix: limit.isByteRate
          ? "choose a rate of 80kbit at least"
          : "choose a number from \(limit.range.lowerBound) to \(limit.range.upperBound)")
    }
    return RelayLimitChoice(limit: limit, value: value)
  }
}

extension ValueParser where Value == Int {
  /// A rate such as `200mbit`, as bytes per second. The unit is never left out: half of the world
  /// would take it for the other one.
  static let byteRate = ValueParser { (text) throws(ValueProblem) in
    let units = [("kbit", 125), ("mbit", 125_000), ("gbit", 125_000_000)]
    for (unit, factor) in units where text.lowercased().hasSuffix(unit) {
      guard let number = Int(text.dropLast(unit.count)), number > 0 else { break }
      let (value, overflow) = number.multipliedReportingOverflow(by: factor)
      guard !overflow, value <= RelayScope.bytesPerSecondMax else { break }
      return value
    }
    throw ValueProblem(
      text, "is not a rate",
      fix: "write a whole number with a unit, such as 500kbit, 20mbit or 1gbit")
  }
}

extension ValueParser where Value == ClosedRange<UInt16> {
  /// A port, or ports in a row such as `10000-10100`.
  static let portRange = ValueParser { (text) throws(ValueProblem) in
    guard PortRange.isWritten(in: text) else {
      throw ValueProblem(
        text, "is neither a port nor a range", fix: "write it like 10000-10100")
    }
    let bounds = text.split(separator: "-").map { UInt16($0) }
    guard let first = bounds[0], let last = bounds[bounds.count - 1], first > 0, first <= last
    else {
      throw ValueProblem(
        text, "is not a range of ports", fix: "choose numbers from 1 to 65535, the lower one first")
    }
    return first...last
  }
}
