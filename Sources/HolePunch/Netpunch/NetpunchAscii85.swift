/// Ascii85 as netpunch writes it: `!` to `u`, no frame around it, `z` for four zero bytes.
enum NetpunchAscii85 {
  /// Encodes whole groups of four bytes.
  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    precondition(bytes.count.isMultiple(of: 4))
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count / 4 * 5)
    for start in stride(from: 0, to: bytes.count, by: 4) {
      var value = bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      guard value != 0 else {
        text.append(UInt8(ascii: "z"))
        continue
      }
      var digits: [UInt8] = [0, 0, 0, 0, 0]
      for place in (0..<5).reversed() {
        digits[place] = UInt8(ascii: "!") + UInt8(value % 85)
        value /= 85
      }
      text += digits
    }
    return text
  }
}
