import Testing

@testable import qtun

@Suite("QR code")
struct QRCodeTests {
  private let plain = Terminal(isColored: false, columns: { 80 })

  @Test("the smallest code has its three finder patterns and its timing patterns")
  func patterns() throws {
    let code = try #require(QRCode("http://a.b"))
    #expect(code.width == 21)
    for (top, left) in [(0, 0), (0, 14), (14, 0)] {
      for row in 0..<7 {
        for column in 0..<7 {
          let ring = max(abs(row - 3), abs(column - 3))
          #expect(code.isDark(top + row, left + column) == (ring != 2))
        }
      }
    }
    for index in 8..<13 {
      #expect(code.isDark(6, index) == index.isMultiple(of: 2))
      #expect(code.isDark(index, 6) == index.isMultiple(of: 2))
    }
  }

  @Test("two rows stand in a line, with a light margin around them")
  func lines() throws {
    let code = try #require(QRCode("http://a.b"))
    let lines = try #require(code.lines(on: plain))
    #expect(lines.count == 13 && lines.allSatisfy { $0.count == 25 })
    #expect(lines[0] == String(repeating: "█", count: 25))
    for (index, line) in lines.enumerated() {
      for (column, character) in line.enumerated() {
        let upper = code.isDark(2 * index - 2, column - 2)
        let lower = code.isDark(2 * index - 1, column - 2)
        #expect(character == (upper ? (lower ? " " : "▄") : (lower ? "▀" : "█")))
      }
    }
    let colored = try #require(code.lines(on: Terminal(isColored: true, columns: { 80 })))
    #expect(colored[1] == "\u{1B}[97;40m\(lines[1])\u{1B}[0m")
  }

  @Test("a longer text takes a larger code, and a terminal that is too narrow shows none")
  func size() throws {
    let code = try #require(QRCode("https://" + String(repeating: "a", count: 200) + ".example"))
    #expect(code.width > 40)
    #expect(code.lines(on: Terminal(isColored: false, columns: { code.width })) == nil)
    #expect(QRCode(String(repeating: "a", count: 3_000)) == nil)
  }
}
