/// The binding of what is about access.
extension CommandLineParser {
  mutating func bindTicket(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    guard let identityFile = keyFile(Grammar.identity) else { return nil }
    let action: TicketSettings.Action
    switch command.name {
    case "ticket make":
      action = .make(
        ticketLimits(), port: value(of: Grammar.sharePort), addresses: values(of: Grammar.address))
    case "ticket list": action = .list
    case "ticket show":
      guard let word = words.first?.text else { return nil }
      action = .show(word == "-" ? .standardInput : .argument(word))
    default:
      guard let word = words.first?.text else { return nil }
      action = .revoke(word)
    }
    return .ticket(TicketSettings(identityFile: identityFile, action: action))
  }

  /// What --share, --expires, --uses and --label say together.
  mutating func ticketLimits() -> TicketLimits {
    let limits = TicketLimits(
      services: values(of: Grammar.scope), expires: value(of: Grammar.expires),
      uses: value(of: Grammar.uses), label: value(of: Grammar.label))
    if Set(limits.services).count != limits.services.count {
      complaints.append(
        Complaint(cause: "--share names a service twice", fix: "name each once"))
    }
    if let expires = limits.expires, expires.time(now: .now()) == nil {
      complaints.append(
        Complaint(cause: "--expires: this time is over", fix: "choose one that is to come"))
    }
    return limits
  }
}
