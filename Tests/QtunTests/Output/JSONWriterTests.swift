import Testing

@testable import qtun

@Suite("JSONWriter")
struct JSONWriterTests {
  private func json(_ value: String) -> String {
    var writer = JSONWriter()
    writer.object { $0.member("v", value) }
    return writer.text
  }

  @Test(
    "strings are escaped",
    arguments: [
      ("plain", #"plain"#), ("\"\\/", #"\"\\/"#), ("\n\r\t", #"\n\r\t"#),
      ("\0\u{1F}", #"\u0000\u001f"#),
      ("\u{7F}\u{9B}2J", #"\u007f\u009b2J"#), ("\u{1B}[2J", #"\u001b[2J"#), ("ü 漢 🙂", "ü 漢 🙂"),
      ("a\u{202E}b\u{2028}", #"a\u202eb\u2028"#), ("\u{E0041}", #"\udb40\udc41"#), ("", ""),
      ("e\u{301}", "e\u{301}"), ("\r\n", #"\r\n"#),
    ])
  func strings(value: String, expected: String) {
    #expect(Array(json(value).utf8) == Array(#"{"v":"\#(expected)"}"#.utf8))
  }

  @Test("bytes that are no UTF-8, such as lone surrogates, become replacement characters")
  func invalidBytes() {
    var writer = JSONWriter()
    writer.object { $0.member("v", utf8: [0x61, 0xED, 0xA0, 0x80, 0xFF, 0x62]) }
    #expect(writer.text == "{\"v\":\"a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}b\"}")
  }

  @Test("names are escaped too")
  func names() {
    var writer = JSONWriter()
    writer.object { $0.member("a\"\n", true) }
    #expect(writer.text == #"{"a\"\n":true}"#)
  }

  @Test("nested values have commas between them and nowhere else")
  func nesting() {
    var writer = JSONWriter()
    writer.object { root in
      root.object("empty") { _ in }
      root.array("none") { _ in }
      root.array("words") {
        $0.element("a")
        $0.element("b")
      }
      root.array("objects") { array in
        for number in 1...2 { array.object { $0.member("n", Int64(number)) } }
      }
      root.member("last", nil as String?)
    }
    #expect(
      writer.text
        == #"{"empty":{},"none":[],"words":["a","b"],"objects":[{"n":1},{"n":2}],"last":null}"#)
  }

  @Test("numbers are exact, and what JSON cannot say is null")
  func numbers() {
    var writer = JSONWriter()
    writer.object { root in
      root.member("min", Int64.min)
      root.member("max", UInt64.max)
      root.member("real", 0.5)
      root.member("nan", Double.nan)
      root.member("infinite", -Double.infinity)
      root.member("none", nil as Int64?)
    }
    #expect(
      writer.text == #"{"min":-9223372036854775808,"max":18446744073709551615,"real":0.5,"#
        + #""nan":null,"infinite":null,"none":null}"#)
  }
}
