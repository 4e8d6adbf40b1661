import Testing

@testable import qtun

@Suite("HelpPage")
struct HelpPageTests {
  @Test(
    "no line of any page is wider than a terminal, or ends in a space", arguments: HelpPage.names)
  func width(name: String) throws {
    let page = try #require(HelpPage(named: name))
    for line in page.text.split(separator: "\n") {
      #expect(line.count <= HelpPage.columns, "\(line)")
      #expect(!line.hasSuffix(" "), "\(line)")
    }
    #expect(page.text.count > 50)
  }

  @Test("the page of a command names each of its options, arguments and variables")
  func complete() {
    for command in Grammar.commands {
      let text = HelpPage.command(command.name).text
      for option in command.allOptions {
        #expect(text.contains(option.signature), "\(command.name) \(option.long)")
        if let variable = option.environment { #expect(text.contains("[\(variable)]")) }
      }
      for argument in command.arguments { #expect(text.contains("  \(argument.name)  ")) }
    }
  }

  @Test("the overview names every command and topic, and the exit codes every code")
  func overview() {
    for name in HelpPage.names { #expect(HelpPage.overview.text.contains("\n  \(name) ")) }
    for code in ExitCode.allCases {
      #expect(HelpTopic.exitCodes.text.contains("  \(code.rawValue)  \(code.name) "))
    }
  }

  @Test("every variable that stands in for an option is on the page of variables")
  func variables() {
    let page = HelpTopic.environment.text
    for name in Grammar.allOptions.compactMap(\.environment) { #expect(page.contains(name)) }
  }

  @Test("the list of commands reads like this")
  func commands() {
    #expect(
      HelpTopic.commands.text == """
          qtun share SERVICE... [options]
                                      offer services to whoever holds the ticket
          qtun connect [TICKET|-] [LISTEN...] [options]
                                      open shared services on this machine
          qtun to [TICKET|NAME|-] [options]
                                      forward ports by ssh's grammar: -L, -R, -D, -W
          qtun pipe [TICKET|-] [options]
                                      join standard input and output to those of another
                                      machine
          qtun relay [options]        help others to find each other: a public
                                      rendezvous
          qtun ping [TICKET|-] [options]
                                      see how a share is reached, and how fast it
                                      answers
          qtun netcheck [options]     tell what this network allows, and what to change
          qtun punch [options]        open a hole between two NATs, as netpunch does and
                                      with it
          qtun status                 tell how your tunnels are doing
          qtun ticket make [options]  make a ticket with limits for a share that runs
          qtun ticket show TICKET|- [options]
                                      tell what a ticket allows
          qtun ticket list [options]  list the tickets with limits that were made
          qtun ticket revoke ID|TICKET|LABEL [options]
                                      take a ticket back and end its sessions
          qtun ticket save NAME TICKET|-
                                      give a ticket a name for `qtun to`
          qtun token add [options]    make a token that lets its holder use this
                                      machine's relay
          qtun token list [options]   list the tokens of this machine's relay
          qtun token revoke ID|LABEL [options]
                                      take a token back and send its holders away
          qtun service install [options]
                                      have systemd run the relay of this machine
          qtun service uninstall [options]
                                      take the relay's service away again
          qtun service status [options]
                                      tell whether the relay's service runs
          qtun keygen [options]       make an identity
          qtun version                print the versions of qtun, its protocol and its
                                      libraries
          qtun help [TOPIC...]        explain a command or a topic
        """)
  }

  @Test("the short usage reads like this")
  func shortUsage() {
    #expect(
      HelpPage.shortUsage == """
        usage:
          qtun share SERVICE... [options]
          qtun connect [TICKET|-] [LISTEN...] [options]
        `qtun help` lists all commands
        """)
  }

  @Test("a page in JSON is one line")
  func json() {
    let json = HelpPage.topic(.security).json
    #expect(json.hasPrefix(#"{"topic":"security","text":"Everything in"#))
    #expect(!json.contains("\n"))
  }

  @Test("paragraphs break between words, and a word wider than the page stays whole")
  func wrap() {
    let word = String(repeating: "w", count: 100)
    #expect(HelpPage.wrap("a \(word) b", indent: 2) == ["  a", "  \(word)", "  b"])
    #expect(HelpPage.wrap("", indent: 2) == [])
  }
}
