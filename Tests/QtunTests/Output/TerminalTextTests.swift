import Testing

@testable import qtun

@Suite("TerminalText")
struct TerminalTextTests {
  @Test("no scalar that a terminal may act on passes")
  func escapesAll() {
    let dangerous = Array(UInt32(0)...0x1F) + Array(0x7F...0x9F) + [0x202E, 0x2066, 0x2028, 0xFEFF]
    for value in dangerous {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let text = TerminalText.escaped("a\(scalar)b")
      #expect(text == "a\\u{\(String(value, radix: 16))}b")
    }
  }

  @Test("ordinary text of any language passes", arguments: ["abc", "ü漢🙂", "e\u{301}", "\\", ""])
  func passes(text: String) {
    #expect(TerminalText.escaped(text) == text)
  }

  @Test(
    "a value is quoted where it would be ambiguous",
    arguments: [
      ("127.0.0.1:1", "127.0.0.1:1"), ("", "\"\""), ("a b", "\"a b\""), ("a=b", "\"a=b\""),
      ("a\"b", #""a\"b""#), (#"a\b"#, #""a\\b""#), ("a\nb", #""a\nb""#), ("\u{1B}c", #""\u{1b}c""#),
    ])
  func quoting(text: String, expected: String) {
    #expect(TerminalText.quotedIfNeeded(text) == expected)
  }

  @Test(
    "text is fitted to columns, not to characters",
    arguments: [
      ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abc", 0, ""), ("abc", -1, ""), ("漢字", 4, "漢字"),
      ("漢字", 3, "漢…"), ("漢字", 2, "…"), ("e\u{301}e", 2, "e\u{301}e"), ("", 5, ""),
    ])
  func fitting(text: String, columns: Int, expected: String) {
    #expect(TerminalText.fitted(text, columns: columns) == expected)
  }

  @Test("text is cut to bytes between scalars")
  func truncation() {
    #expect(TerminalText.truncated("abcdef", bytes: 6) == "abcdef")
    #expect(TerminalText.truncated("abcdefg", bytes: 6) == "abc…")
    #expect(TerminalText.truncated("漢字漢字", bytes: 7) == "漢…")
  }
}
