/// The binding of what is about networks and paths.
extension CommandLineParser {
  mutating func bindNetcheck(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    let servers = values(of: Grammar.stun) + values(of: Grammar.vantageRelay)
    if servers.count > NetcheckSettings.serversMax {
      complaints.append(
        Complaint(
          cause: "there are \(servers.count) STUN servers",
          fix: "name \(NetcheckSettings.serversMax) at most"))
    }
    return .netcheck(
      NetcheckSettings(servers: servers, mapsPort: count(Grammar.noPortMapping) == 0))
  }

  mutating func bindPing(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    let ticket: TicketSource
    if let word = words.first?.text {
      ticket = word == "-" ? .standardInput : .argument(word)
    } else if let held = heldTicket {
      ticket = .environment(held)
    } else {
      complaints.append(
        Complaint(
          cause: "TICKET is missing",
          fix: "give the line that `qtun share` printed, `-` to read it from standard input, or "
            + "set QTUN_TICKET"))
      return nil
    }
    guard let session = sessionSettings() else { return nil }
    let untilDirect = count(Grammar.untilDirect) > 0
    return .ping(
      PingSettings(
        ticket: ticket,
        count: value(of: Grammar.count) ?? (untilDirect ? PingSettings.untilDirectCount : nil),
        untilDirect: untilDirect, dialling: dialSettings(), session: session))
  }
}
