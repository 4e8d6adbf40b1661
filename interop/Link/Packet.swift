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

  /// Where what UDP or TCP carries begins; TCP with the options that Linux always sends.
  private var payloadStart: Int { transportStart + (kind == .tcp ? 32 : 8) }

  /// Where the header of UDP or TCP begins.
  var transportStart: Int { bytes[0] >> 4 == 4 ? Int(bytes[0] & 15) * 4 : 40 }

  /// Damages the payload so that no checksum notices: anywhere, or only among its first `head` bytes
  /// unless that is 0. False if there is nothing to damage.
  mutating func corrupt(_ dice: inout Dice, head: Int) -> Bool {
    if head > 0, kind == .udp { return replaceByte(&dice, head: head) }
    return swapWords(&dice)
  }

  /// Another value for one byte, and for the checksum. A Version Negotiation packet (RFC 9000 §17.2.1)
  /// is spared: nothing protects it, so damage to it is an attack and no fault.
  private mutating func replaceByte(_ dice: inout Dice, head: Int) -> Bool {
    let start = payloadStart
    guard bytes.count > start else { return false }
    let first = bytes[start..<min(start + 5, bytes.count)]
    if first.count == 5, first[start] & 0x80 != 0, first.dropFirst().allSatisfy({ $0 == 0 }) {
      return false
    }
    let index = start + Int(dice.next() % UInt64(min(head, bytes.count - start)))
    let word = start + (index - start) / 2 * 2
    let before = word16(at: word)
    bytes[index] ^= UInt8(1 + dice.next() % 255)
    amendChecksum(at: transportStart + 6, from: before, to: word16(at: word))
    return true
  }

  /// The 16-bit word here; behind the end are zeros, as checksums see it.
  func word16(at index: Int) -> UInt16 {
    UInt16(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt16(bytes[index + 1]) : 0)
  }

  mutating func setWord16(_ value: UInt16, at index: Int) {
    bytes[index] = UInt8(value >> 8)
    bytes[index + 1] = UInt8(value & 0xff)
  }

  /// RFC 1624 §3: the checksum at `index` after one of the words below it has changed.
  mutating func amendChecksum(at index: Int, from before: UInt16, to after: UInt16) {
    var sum = UInt32(~word16(at: index)) + UInt32(~before) + UInt32(after)
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    setWord16(~UInt16(sum), at: index)
  }

  /// Exchanges two different 16-bit words of what UDP or TCP carries. The sum of all words stays the
  /// same, so no checksum notices: the damage reaches the program, as it does on bad hardware.
  private mutating func swapWords(_ dice: inout Dice) -> Bool {
    let header = payloadStart
    let words = (bytes.count - header) / 2
    guard words >= 2 else { return false }
    for _ in 0..<Self.attemptsMax {
      let first = header + Int(dice.next() % UInt64(words)) * 2
      let second = header + Int(dice.next() % UInt64(words)) * 2
      if bytes[first] == bytes[second], bytes[first + 1] == bytes[second + 1] { continue }
      bytes.swapAt(first, second)
      bytes.swapAt(first + 1, second + 1)
      return true
    }
    return false
  }

  /// A payload of equal words cannot be damaged this way.
  private static let attemptsMax = 8
}
