internal import Tunnel

/// Turns a command line into an `Invocation`, or into everything that is wrong with it.
///
///     words -> Tokenizer -> which command? -> does each option belong, is each value right?
///           -> binding to typed settings
struct CommandLineParser {
  let environment: Environment
  var complaints: [Complaint] = []
  private(set) var options: [(spec: OptionSpec, value: String?)] = []
  private(set) var words: [Tokenizer.Word] = []
  /// The command line as it was given.
  private(set) var arguments: [String] = []

  /// Reads a command line, without the program's name.
  static func parse(
    _ arguments: [String], environment: Environment
  ) throws(UsageError) -> Invocation {
    // Its flags are netpunch's and follow other rules.
    if arguments.first == Grammar.punch.name {
      return try PunchSettings.parse(Array(arguments.dropFirst()))
    }
    var parser = CommandLineParser(environment: environment)
    return try parser.parse(arguments)
  }

  /// The ticket in the environment.
  var heldTicket: String? { environment["QTUN_TICKET"] }

  private init(environment: Environment) {
    self.environment = environment
  }

  private mutating func parse(_ arguments: [String]) throws(UsageError) -> Invocation {
    self.arguments = arguments
    let tokens = Tokenizer(arguments, specs: Grammar.allOptions)
    (options, words, complaints) = (tokens.options, tokens.words, tokens.complaints)
    let command = takeCommand()
    // Who asks for help gets it, whatever else is wrong.
    if count(Grammar.showHelp) > 0, words.isEmpty || command != nil {
      return Invocation(settings: globalSettings(), action: .help(helpPage(for: command)))
    }
    if count(Grammar.showVersion) > 0, complaints.isEmpty {
      return Invocation(settings: globalSettings(), action: .version)
    }
    if arguments.isEmpty {
      return Invocation(settings: globalSettings(), action: .usage)
    }
    guard let command else {
      if words.isEmpty {
        complaints.append(
          Complaint(cause: "there is no command", fix: "begin with one, such as `qtun share 3000`"))
      }
      throw usageError(command: nil)
    }
    if words.count > command.arguments.count { words.removeAll(where: \.isDoubtful) }
    checkOptions(of: command)
    checkConflicts()
    let action = bind(command)
    guard complaints.isEmpty, let action else { throw usageError(command: command.name) }
    return Invocation(settings: globalSettings(), action: action)
  }
}

// MARK: - Checks

extension CommandLineParser {
  /// Takes the command's name out of the words; what remains are its arguments.
  private mutating func takeCommand() -> CommandSpec? {
    let index = words.firstIndex { word in
      !word.isDoubtful || Grammar.command(named: word.text) != nil
    }
    guard let index else { return nil }
    // `ticket make` is a command of two words.
    let pair = words[index...].prefix(2).map(\.text)
    if pair.count == 2, let command = Grammar.command(named: pair.joined(separator: " ")) {
      words.removeSubrange(...(index + 1))
      return command
    }
    if let command = Grammar.command(named: words[index].text) {
      words.removeSubrange(...index)  // doubtful words in front belong to unknown options
      return command
    }
    let written = words[index].text
    let actions = Grammar.commands.map(\.name).filter { $0.hasPrefix("\(written) ") }
    if !actions.isEmpty {
      complaints.append(
        Complaint(
          cause: "`qtun \(written)` does nothing by itself",
          fix: "write one of \(actions.joined(separator: ", "))"))
      return nil
    }
    let nearest = Spelling.nearest(to: written, among: Grammar.firstWords)
    complaints.append(
      Complaint(
        cause: "\(ValueProblem.shown(written)) is not a command",
        fix: nearest.map { "did you mean \($0)?" } ?? suggestedCommand(for: written)))
    return nil
  }

  /// For those who begin with what belongs behind the command.
  private func suggestedCommand(for word: String) -> String {
    if word.hasPrefix("qtun1") { return "did you mean `qtun connect TICKET`?" }
    if (try? NamedPlace.parse(word, rule: .service)) != nil {
      return "did you mean `qtun share \(word)`?"
    }
    return "choose one of \(Grammar.firstWords.joined(separator: ", "))"
  }

  private mutating func checkOptions(of command: CommandSpec) {
    var seen: Set<String> = []
    for (spec, value) in options {
      let isFirst = seen.insert(spec.long).inserted
      // The command's own: another one may have an option of this name with other values.
      guard let spec = command.allOptions.first(where: { $0.long == spec.long }) else {
        if isFirst { complaints.append(misplaced(spec, in: command)) }
        continue
      }
      if let value { check(value, of: spec, named: "--\(spec.long)") }
      if !isFirst, !spec.isRepeatable {
        complaints.append(
          Complaint(cause: "--\(spec.long) is given more than once", fix: "keep one of them"))
      }
    }
    for spec in command.options where !seen.contains(spec.long) {
      if let name = spec.environment, let value = environment[name] {
        check(value, of: spec, named: name)
      }
    }
  }

  private mutating func check(_ value: String, of spec: OptionSpec, named name: String) {
    do throws(ValueProblem) {
      try spec.check(value)
    } catch {
      complaints.append(Complaint(cause: "\(name): \(error.cause)", fix: error.fix))
    }
  }

  private func misplaced(_ spec: OptionSpec, in command: CommandSpec) -> Complaint {
    let owners = Grammar.commands.filter { $0.options.contains { $0.long == spec.long } }
    return Complaint(
      cause: "--\(spec.long) does not go with `qtun \(command.name)`",
      fix: "leave it out; it goes with \(owners.map(\.name).joined(separator: " and "))")
  }

  private mutating func checkConflicts() {
    if count(Grammar.verbose) > 0, count(Grammar.quiet) > 0 {
      complaints.append(
        Complaint(cause: "--verbose and --quiet contradict each other", fix: "keep one of them"))
    }
  }

  /// Matches the words with the arguments, checks each, and complains about missing and spare ones.
  mutating func checkArguments(_ arguments: [ArgumentSpec], of command: CommandSpec) {
    var spare = words[min(words.count, arguments.count)...]
    var pairs = Array(zip(words, arguments))
    if let last = arguments.last, last.isRepeatable {
      pairs += spare.map { ($0, last) }
      spare = []
    }
    for (word, argument) in pairs {
      do throws(ValueProblem) {
        try argument.check(word.text)
      } catch {
        complaints.append(Complaint(cause: "\(argument.name): \(error.cause)", fix: error.fix))
      }
    }
    for argument in arguments.dropFirst(words.count) where !argument.isOptional {
      complaints.append(
        Complaint(
          cause: "\(argument.name) is missing",
          fix: "write `\(command.synopsis)`, such as `\(command.examples[0].line)`"))
    }
    for word in spare {
      complaints.append(
        Complaint(
          cause: "\(ValueProblem.shown(word.text)) is one word too many", fix: "leave it out"))
    }
  }

  private func usageError(command: String?) -> UsageError {
    let settings = globalSettings()
    return UsageError(
      complaints: complaints, command: command,
      wantsJSON: settings.isJSON || settings.logFormat == .json)
  }
}

// MARK: - Binding

extension CommandLineParser {
  /// The typed action; nil where a complaint has been made about what it needs.
  private mutating func bind(_ command: CommandSpec) -> Invocation.Action? {
    switch command.name {
    case "share": return bindShare(command)
    case "connect": return bindConnect(command)
    case "pipe": return bindPipe(command)
    case "to": return bindTo(command)
    case "ticket save": return bindTicketSave(command)
    case "relay": return bindRelay(command)
    case let name where name.hasPrefix("service "): return bindService(command)
    case let name where name.hasPrefix("token "): return bindToken(command)
    case "status":
      checkArguments(command.arguments, of: command)
      return .status
    case Grammar.ping.name: return bindPing(command)
    case Grammar.netcheck.name: return bindNetcheck(command)
    case "keygen":
      checkArguments(command.arguments, of: command)
      guard let file = keyFile(Grammar.out) else { return nil }
      return .keygen(KeygenSettings(file: file, overwrites: count(Grammar.force) > 0))
    case Grammar.punch.name:
      complaints.append(
        Complaint(
          cause: "`punch` is not the first word", fix: "write `qtun punch` and its flags behind it")
      )
      return nil
    case let name where name.hasPrefix("ticket "): return bindTicket(command)
    case "version":
      checkArguments(command.arguments, of: command)
      return .version
    default:
      checkArguments(command.arguments, of: command)
      return bindHelp()
    }
  }

  private mutating func bindShare(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    let services = words.compactMap { try? Grammar.service.parser.parse($0.text) }.flatMap { $0 }
    if let name = services.repeatedName {
      complaints.append(
        Complaint(
          cause: name.isEmpty
            ? "two services have no name" : "two services have the name \(name)",
          fix: "give each a name of its own, such as web=3000 db=localhost:5432"))
    }
    if services.count > Service.countMax {
      complaints.append(
        Complaint(
          cause: "there are \(services.count) services", fix: "share \(Service.countMax) at most"))
    }
    let limits = ticketLimits()
    let meeting = meetingSettings()
    let tokens = relayTokens(meeting)
    guard let session = sessionSettings() else { return nil }
    return .share(
      ShareSettings(
        services: services, listen: value(of: Grammar.listen),
        proxyProtocol: value(of: Grammar.proxyProtocol), allowed: values(of: Grammar.allow),
        listenRules: value(of: Grammar.allowListen),
        limits: limits, meeting: meeting, relayTokens: tokens,
        publicly: publicSettings(for: services, meeting), session: session))
  }

  private mutating func bindConnect(_ command: CommandSpec) -> Invocation.Action? {
    let session = sessionSettings()
    let first = words.first?.text
    let firstIsAddress = first.map(looksLikeAddress) ?? false
    let ticket: TicketSource
    if first == nil || firstIsAddress, let held = environment["QTUN_TICKET"] {
      ticket = .environment(held)
      checkArguments([Grammar.localAddress.spec], of: command)
    } else if let first, !firstIsAddress {
      ticket = first == "-" ? .standardInput : .argument(first)
      checkArguments(command.arguments, of: command)
      words.removeFirst()
    } else {
      complaints.append(
        Complaint(
          cause: first.map { "\(ValueProblem.shown($0)) is not a ticket" } ?? "TICKET is missing",
          fix: "give the line that `qtun share` printed, `-` to read it from standard input, or "
            + "set QTUN_TICKET"))
      return nil
    }
    let listeners = words.compactMap { try? Grammar.localAddress.parser.parse($0.text) }.flatMap {
      $0
    }
    if let name = listeners.repeatedName {
      complaints.append(
        Complaint(
          cause: name.isEmpty
            ? "two addresses have no service in front"
            : "the service \(name) is opened at two addresses",
          fix: "write one address for each service, such as 8080 db=5432"))
    }
    let dialling = dialSettings()
    let cycle = value(of: Grammar.carrierCycle)
    if cycle != nil, dialling.carriers != .auto {
      complaints.append(
        Complaint(
          cause: "--carrier-cycle needs several kinds of carrier",
          fix: "leave --carrier out, or make it auto"))
    }
    guard let session else { return nil }
    return .connect(
      ConnectSettings(
        ticket: ticket, listeners: listeners, dialling: dialling, retry: retryChoice(),
        cycle: cycle, proxyAuthFile: value(of: Grammar.proxyAuth), stun: values(of: Grammar.stun),
        session: session))
  }

  mutating func retryChoice() -> RetryChoice? {
    let retry = value(of: Grammar.retry)
    guard count(Grammar.noReconnect) > 0 else { return retry }
    if let retry, retry != .never {
      complaints.append(
        Complaint(
          cause: "--retry and --no-reconnect contradict each other", fix: "keep one of them"))
    }
    return .never
  }

  private mutating func bindPipe(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    guard let session = sessionSettings() else { return nil }
    guard let word = words.first?.text else {
      let role = PipeSettings.Role.waiting(
        listen: value(of: Grammar.listen), ticketFile: value(of: Grammar.ticketFile))
      for spec in Grammar.dialOptions {
        guard options.contains(where: { $0.spec.long == spec.long }) else { continue }
        complaints.append(
          Complaint(
            cause: "--\(spec.long) goes with a ticket only",
            fix: "leave it out; the side that connects decides"))
      }
      return .pipe(PipeSettings(role: role, session: session))
    }
    for spec in [Grammar.listen.spec, Grammar.ticketFile.spec] {
      guard options.contains(where: { $0.spec.long == spec.long }) else { continue }
      complaints.append(
        Complaint(
          cause: "--\(spec.long) does not go with a ticket",
          fix: "leave it out; it goes with the side that waits"))
    }
    let source: TicketSource = word == "-" ? .standardInput : .argument(word)
    return .pipe(PipeSettings(role: .connecting(source, dialSettings()), session: session))
  }

  /// Whether a word can only be meant as an address: no ticket is a number or has a colon
  /// or an equals sign.
  private func looksLikeAddress(_ word: String) -> Bool {
    word.contains(":") || word.contains("=")
      || (!word.isEmpty && word.utf8.allSatisfy { (48...57).contains($0) })
  }

  private mutating func bindHelp() -> Invocation.Action? {
    guard !words.isEmpty else { return .help(.overview) }
    let name = words.map(\.text).joined(separator: " ")
    if let page = HelpPage(named: name) { return .help(page) }
    let nearest = Spelling.nearest(to: name, among: HelpPage.names)
    complaints.append(
      Complaint(
        cause: "there is no help on \(ValueProblem.shown(name))",
        fix: nearest.map { "did you mean `qtun help \($0)`?" }
          ?? "choose one of \(HelpPage.names.joined(separator: ", "))"))
    return nil
  }

  /// The page for `-h`: of the topic, of the command, or the list of commands.
  private func helpPage(for command: CommandSpec?) -> HelpPage {
    guard let command else { return .overview }
    let isHelpOnTopic = command.name == "help" && !words.isEmpty
    return HelpPage(named: isHelpOnTopic ? words[0].text : command.name) ?? .overview
  }

  mutating func sessionSettings() -> SessionSettings? {
    let keylogFile = environment["SSLKEYLOGFILE"]
    if count(Grammar.insecureKeylog) > 0, keylogFile == nil {
      complaints.append(
        Complaint(
          cause: "--insecure-keylog is given, but SSLKEYLOGFILE is not set",
          fix: "set it to the file for the secrets, or leave the flag out"))
    }
    guard let identityFile = keyFile(Grammar.identity) else { return nil }
    var session = SessionSettings(identityFile: identityFile)
    if let congestion = value(of: Grammar.congestion) { session.congestion = congestion }
    if let idleTimeout = value(of: Grammar.idleTimeout) { session.idleTimeout = idleTimeout }
    if let udpTimeout = value(of: Grammar.udpTimeout) { session.udpTimeout = udpTimeout }
    if count(Grammar.insecureKeylog) > 0 { session.keylogFile = keylogFile }
    return session
  }

  /// The option's file, or the place where the identity lives by the XDG base directory rules.
  mutating func keyFile(
    _ option: Option<String>, named name: String = "identity",
    variable: String? = "QTUN_IDENTITY"
  ) -> String? {
    if let file = value(of: option) ?? variable.flatMap({ environment[$0] }) { return file }
    if options.contains(where: { $0.spec.long == option.spec.long }) { return nil }
    if let folder = environment.configurationFolder { return "\(folder)/\(name)" }
    complaints.append(
      Complaint(
        cause: "there is no place for the identity: HOME is not set",
        fix: "give --\(option.spec.long) FILE"))
    return nil
  }

  private func globalSettings() -> GlobalSettings {
    var settings = GlobalSettings()
    settings.isJSON = count(Grammar.json) > 0
    settings.isQuiet = count(Grammar.quiet) > 0
    settings.logFormat = value(of: Grammar.logFormat) ?? (settings.isJSON ? .json : .text)
    switch count(Grammar.verbose) {
    case 0: settings.logLevel = settings.isQuiet ? .warning : .info
    case 1: settings.logLevel = .debug
    default: settings.logLevel = .trace
    }
    return settings
  }

  /// The long names of the options that stand on the command line.
  var givenOptions: Set<String> { Set(options.map(\.spec.long)) }

  func count(_ flag: Flag) -> Int {
    options.count { $0.spec.long == flag.spec.long }
  }

  /// How often an option was given, with or without a value.
  func count(of spec: OptionSpec) -> Int {
    options.count { $0.spec.long == spec.long }
  }

  /// The value, from the command line or the environment; nil where it is absent, or wrong and
  /// complained about already.
  func value<Value>(of option: Option<Value>) -> Value? {
    let given = options.last { $0.spec.long == option.spec.long }?.value
    let text = given ?? option.spec.environment.flatMap { environment[$0] }
    return text.flatMap { try? option.parser.parse($0) }
  }

  /// Every value of an option that may be repeated, without those that are wrong.
  func values<Value>(of option: Option<Value>) -> [Value] {
    options.filter { $0.spec.long == option.spec.long }.compactMap { entry in
      entry.value.flatMap { try? option.parser.parse($0) }
    }
  }
}
