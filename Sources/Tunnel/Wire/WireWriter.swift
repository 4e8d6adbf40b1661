/// Builds a message of QUIC varints (RFC 9000 §16) and bytes.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    precondition(value < 1 << 62)
    let shift: (prefix: UInt64, count: Int) =
      switch value {
      case 0..<(1 << 6): (0, 1)
      case 0..<(1 << 14): (1, 2)
      case 0..<(1 << 30): (2, 4)
      default: (3, 8)
      }
    let word = value | shift.prefix << (shift.count * 8 - 2)
    for index in (0..<shift.count).reversed() {
      bytes.append(UInt8(truncatingIfNeeded: word >> (index * 8)))
    }
  }

  mutating func raw(_ value: some Sequence<UInt8>) {
    bytes.append(contentsOf: value)
  }

  mutating func byte(_ value: UInt8) {
    bytes.append(value)
  }

  mutating func uint16(_ value: UInt16) {
    bytes.append(UInt8(value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  mutating func uint64(_ value: UInt64) {
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
    }
  }

  /// The length as a varint, then the bytes.
  mutating func prefixed(_ value: some Collection<UInt8>) {
    varint(UInt64(value.count))
    raw(value)
  }
}
