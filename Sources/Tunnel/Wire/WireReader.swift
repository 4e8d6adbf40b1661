/// Takes a message apart; nil means that it ended too soon.
struct WireReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: some Sequence<UInt8>) {
    rest = ArraySlice(bytes)
  }

  /// Without a copy.
  init(_ bytes: ArraySlice<UInt8>) {
    rest = bytes
  }

  /// Bytes that are left.
  var count: Int { rest.count }

  mutating func byte() -> UInt8? {
    rest.popFirst()
  }

  /// RFC 9000 §16. Encodings longer than needed are accepted, as QUIC accepts them.
  mutating func varint() -> UInt64? {
    guard let first = rest.first else { return nil }
    let length = 1 << Int(first >> 6)
    guard let bytes = raw(length) else { return nil }
    var value = UInt64(first & 0x3f)
    for byte in bytes.dropFirst() { value = value << 8 | UInt64(byte) }
    return value
  }

  mutating func raw(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  mutating func uint16() -> UInt16? {
    guard let bytes = raw(2) else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt16($1) }
  }

  mutating func uint64() -> UInt64? {
    guard let bytes = raw(8) else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A varint length, `max` at most, and as many bytes.
  mutating func prefixed(max: Int) -> ArraySlice<UInt8>? {
    guard let length = varint(), length <= UInt64(max) else { return nil }
    return raw(Int(length))
  }
}
