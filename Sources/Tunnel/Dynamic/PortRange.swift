/// Ports as the rules of a share name them: `443`, `80-443` or `*`.
enum PortRange {
  /// - Parameter all: what `*` stands for; a port that is written out is never 0.
  static func read(_ text: Substring, all: ClosedRange<UInt16>) -> ClosedRange<UInt16>? {
    if text == "*" { return all }
    let numbers = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let bounds = numbers.compactMap { number in
      number.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(number) : nil
    }
    guard bounds.count == numbers.count, let first = bounds.first, let last = bounds.last,
      first > 0, first <= last
    else { return nil }
    return first...last
  }
}
