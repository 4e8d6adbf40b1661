/// One line of stdin: whom it means, and what is to change.
///
///     line = [a>b | b>a] [udp | tcp | other] setting value...
struct LineCommand {
  /// Indices of directions: 0 is from A to B.
  private var directions = [0, 1]
  private var kinds = Packet.Kind.allCases
  private var words: ArraySlice<Substring>

  init(_ line: Substring) {
    words = line.split(whereSeparator: \.isWhitespace)[...]
    if words.first == "a>b" { directions = [0] }
    if words.first == "b>a" { directions = [1] }
    if directions.count == 1 { words.removeFirst() }
    if let kind = Packet.Kind.allCases.first(where: { "\($0)" == words.first ?? "" }) {
      kinds = [kind]
      words.removeFirst()
    }
  }

  /// Changes the link as the line says.
  mutating func apply(to link: inout [Direction]) throws(LinkError) {
    guard let name = words.popFirst() else { throw .usage("an empty line") }
    switch name {
    case "rate", "queue":
      guard kinds.count > 1 else { throw .usage("\(name) is for all protocols together") }
      let value = name == "rate" ? try bitsPerSecond() : try UInt64(bytes())
      for index in directions {
        if name == "rate" { link[index].rate = value } else { link[index].queue = Int(value) }
      }
    case "queuelength":
      guard kinds.count > 1 else { throw .usage("\(name) is for all protocols together") }
      let value = try takes("off") ? 0 : count("a number of packets", max: Self.queuePacketsMax)
      for index in directions { link[index].queuePackets = value }
    case "clear":
      change(&link) { $0 = Faults() }
    default:
      let change = try fault(String(name))
      self.change(&link, change)
    }
    guard words.isEmpty else { throw .usage("\(words.joined(separator: " ")): too much") }
  }

  private func change(_ link: inout [Direction], _ change: (inout Faults) -> Void) {
    for index in directions {
      for kind in kinds {
        change(&link[index].faults[kind.rawValue])
        link[index].forgetCount(kind)
      }
      link[index].forgetOrder()
    }
  }

  private mutating func fault(_ name: String) throws(LinkError) -> (inout Faults) -> Void {
    switch name {
    case "delay":
      let time = try time()
      return { $0.delay = time }
    case "jitter":
      let time = try time()
      return { $0.jitter = time }
    case "loss":
      let rate = try probability()
      let burst = try takes("burst") ? packets() : 1
      let inRow = try takes("atmost") ? count("a number of packets", max: Self.lossesMax) : 0
      return { ($0.loss, $0.burst, $0.lossesInRowMax) = (rate, burst, inRow) }
    case "duplicate":
      let rate = try probability()
      return { $0.duplicate = rate }
    case "reorder":
      let rate = try probability()
      let time = rate > 0 ? try time() : 0
      return { ($0.reorder, $0.reorderDelay) = (rate, time) }
    case "corrupt":
      let rate = try probability()
      let head = try takes("head") ? bytes() : 0
      return { ($0.corrupt, $0.corruptedHead) = (rate, head) }
    case "drop":
      if takes("off") { return { $0.dropped = nil } }
      let first = try count("the number of a packet", max: Self.lossesMax)
      let last = try count("the number of a packet", max: Self.lossesMax)
      guard first <= last else { throw .usage("drop \(first) \(last): the first comes first") }
      return { $0.dropped = first...last }
    case "mtu":
      let size = try takes("off") ? 0 : bytes()
      return { $0.sizeMax = size }
    case "blackhole":
      let isOn = takes("on")
      guard isOn || takes("off") else { throw .usage("blackhole: on or off") }
      return { $0.isBlackhole = isOn }
    default: throw .usage("\(name): no such setting")
    }
  }

  // MARK: Values

  private mutating func takes(_ word: String) -> Bool {
    guard let first = words.first, first == word else { return false }
    words.removeFirst()
    return true
  }

  private mutating func number(
    _ units: KeyValuePairs<String, Double>, _ what: String, max: Double
  ) throws(LinkError) -> Double {
    let word = words.popFirst() ?? ""
    for (suffix, factor) in units where word.hasSuffix(suffix) {
      guard let value = Double(word.dropLast(suffix.count)) else { continue }
      if (0...max).contains(value * factor) { return value * factor }
    }
    throw .usage("\(word): not \(what)")
  }

  private mutating func time() throws(LinkError) -> UInt64 {
    UInt64(
      try number(["ms": 1e6, "us": 1e3, "s": 1e9], "a time such as 20ms", max: 60e9))
  }

  private mutating func probability() throws(LinkError) -> Double {
    try number(["%": 0.01], "a share such as 2%", max: 1)
  }

  private mutating func packets() throws(LinkError) -> Double {
    max(1, try number(["": 1], "a number of packets", max: 1e6))
  }

  private mutating func count(_ what: String, max: Double) throws(LinkError) -> Int {
    Swift.max(1, Int(try number(["": 1], what, max: max)))
  }

  private mutating func bytes() throws(LinkError) -> Int {
    Int(try number(["k": 1024, "M": 1_048_576, "": 1], "a size such as 256k", max: 1e9))
  }

  private mutating func bitsPerSecond() throws(LinkError) -> UInt64 {
    if takes("off") { return 0 }
    return UInt64(
      try number(["kbit": 1e3, "mbit": 1e6, "gbit": 1e9], "a rate such as 50mbit", max: 1e11))
  }

  /// The starts of waiting packets are looked through for each packet.
  private static let queuePacketsMax = 1_000.0
  private static let lossesMax = 1e6
}
