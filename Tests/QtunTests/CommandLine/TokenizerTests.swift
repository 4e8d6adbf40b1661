import Testing

@testable import qtun

@Suite("Tokenizer")
struct TokenizerTests {
  private static let tag = Option("tag", short: "t", "NAME", .text, isRepeatable: true, help: "")
  private static let file = Option("file", short: "f", "FILE", .path, help: "")
  private static let loud = Flag("loud", short: "l", help: "")
  private static let specs = [tag.spec, file.spec, loud.spec]

  private func tokenize(_ line: String) -> Tokenizer {
    Tokenizer(line.split(separator: " ").map(String.init), specs: Self.specs)
  }

  private func options(_ line: String) -> [String] {
    tokenize(line).options.map { "\($0.spec.long)=\($0.value ?? "")" }
  }

  @Test(
    "a value may stand in every place that POSIX and GNU know",
    arguments: ["--file x", "--file=x", "-f x", "-fx", "-f=x"])
  func valuePlaces(line: String) {
    #expect(options(line) == ["file=x"])
    #expect(tokenize(line).complaints.isEmpty)
  }

  @Test("short forms combine, and the last may take the value")
  func combined() {
    #expect(options("-lllf x") == ["loud=", "loud=", "loud=", "file=x"])
    #expect(options("-lfl") == ["loud=", "file=l"])
  }

  @Test("a value may hold equals signs and may be empty")
  func equalsSigns() {
    #expect(options("--file=a=b") == ["file=a=b"])
    #expect(options("--file=") == ["file="])
  }

  @Test("repeated options keep their order")
  func repeated() {
    #expect(options("-t a --tag b -tc") == ["tag=a", "tag=b", "tag=c"])
  }

  @Test("behind two hyphens everything is a word")
  func end() {
    let tokens = tokenize("-l -- -l --file --")
    #expect(tokens.options.count == 1)
    #expect(tokens.words.map(\.text) == ["-l", "--file", "--"])
  }

  @Test("one hyphen is a word, and a value")
  func hyphen() {
    #expect(tokenize("-").words.map(\.text) == ["-"])
    #expect(options("--file -") == ["file=-"])
  }

  @Test("a forgotten value does not swallow the next option")
  func forgottenValue() {
    let tokens = tokenize("--file --loud")
    #expect(tokens.options.map(\.spec.long) == ["loud"])
    #expect(
      tokens.complaints == [
        Complaint(
          cause: "--file has no value",
          fix: "write --file FILE, or --file=--loud if that is the value")
      ])
    #expect(tokenize("x -f").complaints.map(\.cause) == ["--file has no value"])
    #expect(tokenize("-f -- y").complaints.map(\.fix) == ["write --file FILE"])
  }

  @Test("a flag with a value is refused, and still counts")
  func flagWithValue() {
    let tokens = tokenize("--loud=yes")
    #expect(tokens.complaints.map(\.cause) == ["--loud takes no value, but \"yes\" was given"])
    #expect(tokens.options.map(\.spec.long) == ["loud"])
  }

  @Test("a misspelt option takes its value along, so that one slip is one complaint")
  func misspelt() {
    let tokens = tokenize("--flie x word")
    #expect(tokens.complaints.map(\.fix) == ["did you mean --file?"])
    #expect(tokens.words.map(\.text) == ["word"])
    #expect(tokenize("--lod word").words.map(\.text) == ["word"])
  }

  @Test("the word behind an option like no other is doubtful")
  func doubtful() {
    let tokens = tokenize("--bogus x y")
    #expect(tokens.words.map(\.isDoubtful) == [true, false])
    #expect(tokenize("--bogus=1 y").words.map(\.isDoubtful) == [false])
    #expect(tokenize("-x y").complaints.map(\.cause) == ["\"-x\" is not an option"])
  }

  @Test("one hyphen in front of a long name is named as the slip")
  func oneHyphen() {
    #expect(
      tokenize("-tag x").options.map { $0.value } == ["ag"], "a short option wins, as in POSIX")
    let other = Tokenizer(["-file", "x"], specs: [Option("file", "F", .path, help: "").spec])
    #expect(
      other.complaints == [
        Complaint(cause: "\"-file\" is not an option", fix: "did you mean --file?")
      ])
    #expect(other.words.isEmpty)
  }
}
