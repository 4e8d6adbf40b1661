/// Numbers and pieces from the front of an input; zeros once it is used up, so that every input
/// means something.
struct FuzzInput {
  private var rest: UnsafeRawBufferPointer.SubSequence

  init(_ bytes: UnsafeRawBufferPointer) {
    rest = bytes[...]
  }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 {
    rest.popFirst() ?? 0
  }

  mutating func uint16() -> Int {
    Int(byte()) << 8 | Int(byte())
  }

  /// Up to `count` bytes.
  mutating func bytes(_ count: Int) -> [UInt8] {
    let part = rest.prefix(count)
    rest = rest.dropFirst(part.count)
    return Array(part)
  }

  /// A length in two bytes, and as many bytes as there are.
  mutating func piece() -> [UInt8] {
    bytes(uint16())
  }

  /// Everything that is left.
  mutating func remainder() -> [UInt8] {
    bytes(rest.count)
  }
}
