/// What `qtun punch` was given; what it needs, and whether values are right, the command checks,
/// since netpunch reports those with another exit status.
struct PunchSettings: Equatable, Sendable {
  /// The letter; nil for the control node.
  var peer: String?
  /// What the nodes share.
  var secret: String?
  /// The file with the secret.
  var secretFile: String?
  /// Whether a newline at the end of the file belongs to the secret.
  var keepsSecretNewline = false
  /// The address to bind.
  var local: String?
  /// The control node.
  var remote: String?
  /// What to print.
  var template: String?
  /// Where what to print stands.
  var templateFile: String?
  /// The program to become.
  var command: String?
  /// Its arguments, in order.
  var arguments: [Argument] = []
  /// Whether it gets the socket.
  var handsOver = false
  /// Whether to log nothing.
  var isSilent = false
  /// Whether to log datagrams whole.
  var logsRaw = false
  /// Whether to print JSON.
  var isJSON = false

  /// One of -arg, -fields and -raw.
  enum Argument: Equatable, Sendable {
    case template(String)
    case fields(String)
    case raw(String)
  }

  /// Reads the words behind `punch`.
  static func parse(_ words: [String]) throws(UsageError) -> Invocation {
    let flags = GoFlags(words, specs: Grammar.punch.options)
    var settings = PunchSettings()
    settings.isJSON = flags.isSet(Grammar.json.spec)
    var global = GlobalSettings()
    global.isJSON = settings.isJSON
    if flags.isSet(Grammar.showHelp.spec) {
      return Invocation(settings: global, action: .help(.command(Grammar.punch.name)))
    }
    guard flags.complaints.isEmpty else {
      throw UsageError(
        complaints: flags.complaints, command: Grammar.punch.name, wantsJSON: settings.isJSON)
    }
    if flags.isSet(Grammar.showVersion.spec) {
      return Invocation(settings: global, action: .version)
    }
    settings.peer = flags.value(Grammar.punchPeer.spec)
    settings.secret = flags.value(Grammar.punchSecret.spec)
    settings.secretFile = flags.value(Grammar.punchSecretFile.spec)
    settings.keepsSecretNewline = flags.isSet(Grammar.punchSecretExact.spec)
    settings.local = flags.value(Grammar.punchLocal.spec)
    settings.remote = flags.value(Grammar.punchRemote.spec)
    settings.template = flags.value(Grammar.punchTemplate.spec)
    settings.templateFile = flags.value(Grammar.punchTemplateFile.spec)
    settings.command = flags.value(Grammar.punchCommand.spec)
    settings.handsOver = flags.isSet(Grammar.punchHandover.spec)
    settings.isSilent = flags.isSet(Grammar.punchSilent.spec)
    settings.logsRaw = flags.isSet(Grammar.punchRawLogging.spec)
    settings.arguments = flags.given.compactMap { name, value in
      switch name {
      case Grammar.punchArg.spec.long: .template(value)
      case Grammar.punchFields.spec.long: .fields(value)
      case Grammar.punchRaw.spec.long: .raw(value)
      default: nil
      }
    }
    return Invocation(settings: global, action: .punch(settings))
  }
}
