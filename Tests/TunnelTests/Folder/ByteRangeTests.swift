import Testing

@testable import Tunnel

@Suite("Byte range")
struct ByteRangeTests {
  private func range(
    _ value: String, size: UInt64 = 100, condition: String? = nil, method: String = "GET"
  ) -> ByteRange {
    var fields = [HTTPHead.Field(name: "Range", value: Array(value.utf8))]
    if let condition { fields.append(.init(name: "If-Range", value: Array(condition.utf8))) }
    let head = HTTPHead(method: method, target: "/", minorVersion: 1, fields: fields)
    return ByteRange.wanted(by: head, size: size, tag: "\"t\"")
  }

  @Test(
    "one range is served",
    arguments: [
      ("bytes=0-0", 0..<1), ("bytes=10-19", 10..<20), ("Bytes=90-", 90..<100),
      ("bytes=-10", 90..<100), ("bytes=-1000", 0..<100), ("bytes=99-1000", 99..<100),
    ] as [(String, Range<UInt64>)])
  func parts(value: String, wanted: Range<UInt64>) {
    #expect(range(value) == .part(wanted))
  }

  @Test("beyond the end there is nothing", arguments: ["bytes=100-", "bytes=100-200", "bytes=-0"])
  func beyond(value: String) {
    #expect(range(value) == .unsatisfiable)
    #expect(range("bytes=0-", size: 0) == .unsatisfiable)
  }

  @Test(
    "what is not understood means the whole",
    arguments: [
      "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1",
      "bytes=+1-2", "bytes=1--2", "bytes=99999999999999999999-",
    ])
  func whole(value: String) {
    #expect(range(value) == .whole)
  }

  @Test("a condition about another file, and HEAD, mean the whole")
  func conditions() {
    #expect(range("bytes=0-0", condition: "\"t\"") == .part(0..<1))
    #expect(range("bytes=0-0", condition: "\"u\"") == .whole)
    #expect(range("bytes=0-0", method: "HEAD") == .whole)
  }
}
