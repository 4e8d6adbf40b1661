/// The binding of what is about networks and paths.
extension CommandLineParser {
  mutating func bindNetcheck(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    var servers: [HostPort] = []
    for word in values(of: Grammar.stun) {
      do throws(ValueProblem) {
        servers.append(try Self.server(word))
      } catch {
        complaints.append(Complaint(cause: "--stun: \(error.cause)", fix: error.fix))
      }
    }
    if servers.count > NetcheckSettings.serversMax {
      complaints.append(
        Complaint(
          cause: "there are \(servers.count) STUN servers",
          fix: "name \(NetcheckSettings.serversMax) at most"))
    }
    return .netcheck(
      NetcheckSettings(servers: servers, mapsPort: count(Grammar.noPortMapping) == 0))
  }

  /// A host with or without a port: an IPv6 address without one needs no brackets.
  private static func server(_ text: String) throws(ValueProblem) -> HostPort {
    let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
    let isBare = colons == 0 || (colons > 1 && !text.contains("["))
    let hasNoPort = isBare || text.hasSuffix("]")
    let host = isBare && colons > 1 ? "[\(text)]" : text
    return try HostPort.parse(
      hasNoPort ? "\(host):\(NetcheckSettings.defaultPort)" : host, rule: .service)
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
