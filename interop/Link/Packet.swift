/// An IP packet on its way, and what its header says of it.
struct Packet {
  var bytes: [UInt8]

  /// What a line on stdin may name; faults are set for each by itself.
  enum Kind: Int, CaseIterable {
    case udp, tcp, other
  }

  /// From the IPv4 or IPv6 header; an IPv6 packet with extension headers counts as `other`.
  var kind: Kind {
    guard let version = bytes.first.map({ $0 >> 4 }) else { return .other }
    let position = version == 4 ? 9 : 6
    guard bytes.count > position else { return .other }
    switch bytes[position] {
    case 17: return .udp
    case 6: return .tcp
    default: return .other
    }
  }

  /// Exchanges two different 16-bit words of what UDP or TCP carries. The sum of all words stays the
  /// same, so no checksum notices: the damage reaches the program, as it does on bad hardware.
  mutating func corrupt(_ dice: inout Dice) {
    let header = (bytes[0] >> 4 == 4 ? Int(bytes[0] & 15) * 4 : 40) + (kind == .tcp ? 32 : 8)
    let words = (bytes.count - header) / 2
    guard words >= 2 else { return }
    for _ in 0..<Self.attemptsMax {
      let first = header + Int(dice.next() % UInt64(words)) * 2
      let second = header + Int(dice.next() % UInt64(words)) * 2
      if bytes[first] == bytes[second], bytes[first + 1] == bytes[second + 1] { continue }
      bytes.swapAt(first, second)
      bytes.swapAt(first + 1, second + 1)
      return
    }
  }

  /// A payload of equal words cannot be damaged this way.
  private static let attemptsMax = 8
}
