/// Takes bytes apart in network order; nil means that they ended too soon.
struct BigEndianReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: some Sequence<UInt8>) {
    rest = ArraySlice(bytes)
  }

  /// Bytes that are left.
  var count: Int { rest.count }

  mutating func byte() -> UInt8? { rest.popFirst() }

  mutating func uint16() -> UInt16? { raw(2)?.reduce(0) { $0 << 8 | UInt16($1) } }

  mutating func uint32() -> UInt32? { raw(4)?.reduce(0) { $0 << 8 | UInt32($1) } }

  mutating func uint64() -> UInt64? { raw(8)?.reduce(0) { $0 << 8 | UInt64($1) } }

  mutating func raw(_ count: Int) -> ArraySlice<UInt8>? {
    guard count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}

extension [UInt8] {
  /// Appends a number in network order.
  mutating func append(bigEndian number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
  }
}
