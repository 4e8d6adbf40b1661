/// The part of a file that a request asks for (RFC 9110 §14).
enum ByteRange: Equatable {
  case whole
  /// Not empty.
  case part(Range<UInt64>)
  case unsatisfiable

  /// One range of bytes is served. Several, another unit, and what cannot be read mean the whole, as
  /// RFC 9110 §14.2 allows; so does an If-Range that is not about this file.
  static func wanted(by head: HTTPHead, size: UInt64, tag: String) -> ByteRange {
    let values = head.values(of: "range")
    let conditions = head.values(of: "if-range")
    guard head.method == "GET", values.count == 1, let spec = spec(values[0]),
      conditions.allSatisfy({ $0.elementsEqual(tag.utf8) })
    else { return .whole }
    switch spec {
    case (let first?, let last?):
      guard first <= last else { return .whole }
      return first < size ? .part(first..<min(last, size - 1) + 1) : .unsatisfiable
    case (let first?, nil): return first < size ? .part(first..<size) : .unsatisfiable
    case (nil, let suffix?):
      return suffix > 0 && size > 0 ? .part(size - min(suffix, size)..<size) : .unsatisfiable
    case (nil, nil): return .whole
    }
  }

  /// `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`.
  private static func spec(_ value: [UInt8]) -> (UInt64?, UInt64?)? {
    let text = String(decoding: value, as: UTF8.self).lowercased()
    guard text.hasPrefix("bytes=") else { return nil }
    let bounds = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    guard bounds.count == 2 else { return nil }
    var numbers: [UInt64?] = []
    for bound in bounds {
      guard bound.utf8.allSatisfy({ (0x30...0x39).contains($0) }), bound.utf8.count <= 18 else {
        return nil
      }
      numbers.append(UInt64(bound))
    }
    return (numbers[0], numbers[1])
  }
}
