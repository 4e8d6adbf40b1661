import Testing

@testable import qtun

@Suite("Grammar")
struct GrammarTests {
  @Test("each option name means the same in every command")
  func uniqueOptions() {
    for command in Grammar.commands {
      let names = command.allOptions.map(\.long)
      #expect(Set(names).count == names.count, "\(command.name)")
      for option in command.allOptions {
        let known = Grammar.allOptions.first { $0.long == option.long }
        #expect(known?.placeholder == option.placeholder)
        #expect(known?.short == option.short)
      }
    }
    let letters = Grammar.allOptions.compactMap(\.short)
    #expect(Set(letters).count == letters.count)
  }

  @Test("optional arguments come last")
  func optionalLast() {
    for command in Grammar.commands {
      let firstOptional = command.arguments.firstIndex(where: \.isOptional)
      let lastRequired = command.arguments.lastIndex { !$0.isOptional }
      if let firstOptional, let lastRequired { #expect(lastRequired < firstOptional) }
    }
  }

  @Test("every example of the help pages is a right command line")
  func examples() throws {
    for example in Grammar.commands.flatMap(\.examples) {
      let words = example.line.split(separator: " ").dropFirst().map(String.init)
      #expect(throws: Never.self, "\(example.line)") {
        try CommandLineParser.parse(words, environment: Environment(["HOME": "/h"]))
      }
    }
  }

  @Test("every command has an example, and texts end without a full stop where they are clauses")
  func texts() {
    for command in Grammar.commands {
      #expect(!command.examples.isEmpty)
      #expect(!command.summary.hasSuffix("."))
      for option in command.allOptions { #expect(!option.help.hasSuffix("."), "\(option.long)") }
    }
  }
}
