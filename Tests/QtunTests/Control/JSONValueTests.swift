import Testing

@testable import qtun

@Suite("JSON value")
struct JSONValueTests {
  @Test("what the writer writes is read")
  func roundTrip() throws {
    var writer = JSONWriter()
    writer.object { json in
      json.member("text", "a \"b\" \\ \n \u{1b} ü \u{1F600} \u{E0041}")
      json.member("number", Int64(-5))
      json.member("large", UInt64(1) << 40)
      json.member("flag", true)
      json.member("nothing", nil as String?)
      json.array("list") { json in
        json.element("x")
        json.object { $0.member("y", Int64(1)) }
      }
    }
    let value = try #require(JSONValue(writer.text.utf8))
    #expect(value["text"]?.text == "a \"b\" \\ \n \u{1b} ü \u{1F600} \u{E0041}")
    #expect(value["number"]?.number == -5 && value["large"]?.number == 1 << 40)
    #expect(value["flag"] == .flag(true) && value["nothing"] == .null)
    #expect(value["list"]?.elements == [.text("x"), .object(["y": .number(1)])])
  }

  @Test(
    "what is no JSON text is refused",
    arguments: [
      "", " ", "{", "}", "{}x", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "tru", "\"", "\"\\u12\"",
      "\"\\ud800\"", "\"\\x\"", "\"\n\"", "-", "1e400", "\u{0}",
      String(repeating: "[", count: 100_000),
      String(repeating: "[", count: 17) + String(repeating: "]", count: 17),
    ])
  func malformed(text: String) {
    #expect(JSONValue(text.utf8) == nil)
  }

  @Test("bytes that are no UTF-8 end the process of nobody")
  func foreignBytes() {
    #expect(JSONValue([0x22, 0xff, 0xfe, 0x22])?.text == "\u{fffd}\u{fffd}")
    for first in UInt8.min...UInt8.max { _ = JSONValue([first, 0x22, 0x5c, first]) }
  }
}
