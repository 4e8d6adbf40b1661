/// How lists stand in their files: a heading, one record a line with fields between tabs, an end line.
///
/// A line that is missing shows by the end line, so that half a list is never taken for a whole one.
enum RecordText {
  /// The bytes of a file.
  static func bytes(heading: String, records: [[String]]) -> [UInt8] {
    let lines = [heading] + records.map { $0.map(escaped).joined(separator: "\t") } + ["end"]
    return Array((lines.joined(separator: "\n") + "\n").utf8)
  }

  /// The fields of each record, with the number of its line.
  ///
  /// - Throws: `.malformed` for another heading, or where the end line is missing.
  static func records(
    _ text: [UInt8], heading: String
  ) throws(AccessFileError) -> [(line: Int, fields: [String])] {
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard lines[0].elementsEqual(heading.utf8) else { throw .malformed(line: 1) }
    // The text after the last newline is empty, and the line before it says that nothing is missing.
    guard lines.count >= 3, lines[lines.count - 1].isEmpty,
      lines[lines.count - 2].elementsEqual("end".utf8)
    else { throw .malformed(line: lines.count) }
    return lines.enumerated().dropFirst().dropLast(2).map { ($0 + 1, fields($1)) }
  }

  private static func fields(_ line: ArraySlice<UInt8>) -> [String] {
    line.split(separator: 0x09, omittingEmptySubsequences: false).map { unescaped(Array($0)) }
  }

  /// Control characters and `%` as `%` and two hexadecimal digits.
  private static func escaped(_ text: String) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      guard byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      bytes += Array("%".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func unescaped(_ text: [UInt8]) -> String {
    var bytes: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      else {
        bytes.append(byte)
        continue
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static let digits = Array("0123456789abcdef".utf8)
}
