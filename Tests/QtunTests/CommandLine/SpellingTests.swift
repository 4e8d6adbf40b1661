import Testing

@testable import qtun

@Suite("Spelling")
struct SpellingTests {
  @Test(
    "distance counts insertions, removals, replacements and swaps",
    arguments: [
      ("", "", 0), ("", "abc", 3), ("share", "share", 0), ("shar", "share", 1),
      ("shraed", "shared", 1), ("hsare", "share", 1), ("kitten", "sitting", 3), ("ca", "abc", 3),
    ])
  func distance(left: String, right: String, expected: Int) {
    #expect(Spelling.distance(left, right) == expected)
    #expect(Spelling.distance(right, left) == expected)
  }

  @Test(
    "a slip finds the word that was meant",
    arguments: [
      ("lisen", "listen"), ("idnetity", "identity"), ("Listen", "listen"), ("cong", "congestion"),
    ])
  func nearest(word: String, expected: String) {
    #expect(Spelling.nearest(to: word, among: Grammar.allOptions.map(\.long)) == expected)
  }

  @Test("a word that is like none gets no suggestion", arguments: ["bogus", "x", "", "qwertz"])
  func noSuggestion(word: String) {
    #expect(Spelling.nearest(to: word, among: ["listen", "identity", "v"]) == nil)
  }

  @Test("a very long word gets no suggestion")
  func longWord() {
    let word = "listen" + String(repeating: "n", count: Spelling.wordMax)
    #expect(Spelling.nearest(to: word, among: [word]) == nil)
  }

  @Test("a beginning that fits several words gets no suggestion")
  func ambiguousBeginning() {
    #expect(Spelling.nearest(to: "in", among: ["inbound", "insecure"]) == nil)
  }
}
