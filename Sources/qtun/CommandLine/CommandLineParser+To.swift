internal import Tunnel

/// The binding of ssh's grammar.
extension CommandLineParser {
  mutating func bindTo(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    let session = sessionSettings()
    guard let ticket = peer(), let purpose = purpose(), let session else { return nil }
    return .to(
      ToSettings(
        ticket: ticket, purpose: purpose, dialling: dialSettings(), retry: retryChoice(),
        proxyAuthFile: value(of: Grammar.proxyAuth),
        proxyProtocol: value(of: Grammar.proxyProtocol), session: session))
  }

  mutating func bindTicketSave(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    guard words.count == 2, let book = peerBook() else { return nil }
    let ticket = words[1].text == "-" ? TicketSource.standardInput : .argument(words[1].text)
    return .savePeer(name: words[0].text, ticket: ticket, folder: book)
  }

  private mutating func purpose() -> ToSettings.Purpose? {
    let local = values(of: Grammar.local).flatMap { $0 }
    let remote = values(of: Grammar.remote).flatMap { $0 }
    let proxies = values(of: Grammar.dynamic)
    let isForwarding = !(local.isEmpty && remote.isEmpty && proxies.isEmpty)
    if remote.count > RemoteListener.countMax {
      complaints.append(
        Complaint(
          cause: "-R asks for \(remote.count) addresses",
          fix: "ask for \(RemoteListener.countMax) at most"))
    }
    if let stdio = value(of: Grammar.stdio) {
      if isForwarding {
        complaints.append(
          Complaint(
            cause: "-W does not go with -L, -R and -D",
            fix: "run a second `qtun to` for them: -W ends when its one connection does"))
      }
      return .stdio(stdio)
    }
    // A value that is wrong has its complaint already.
    if !isForwarding, complaints.isEmpty {
      complaints.append(
        Complaint(
          cause: "there is nothing to open",
          fix: "add -L, -R, -D or -W, such as -L 8080:NAME, or open all services of the share by "
            + "`qtun connect`"))
    }
    return .forwards(local: local, proxies: proxies, remote: remote)
  }

  /// Whom to go to.
  private mutating func peer() -> TicketSource? {
    guard let word = words.first?.text else {
      if let held = environment["QTUN_TICKET"] { return .environment(held) }
      complaints.append(
        Complaint(
          cause: "\(Grammar.peer.spec.name) is missing",
          fix:
            "give the line that `qtun share` printed, a name that `qtun ticket save` gave it, or "
            + "`-` to read it from standard input, or set QTUN_TICKET"))
      return nil
    }
    if word == "-" { return .standardInput }
    if word.lowercased().hasPrefix("qtun1") { return .argument(word) }
    guard (try? Grammar.peerName.parser.parse(word)) != nil else {
      complaints.append(
        Complaint(
          cause: "\(ValueProblem.shown(word)) is neither a ticket nor a name",
          fix: "give the line that `qtun share` printed, or a name that `qtun ticket save` gave it")
      )
      return nil
    }
    return peerBook().map { .saved(name: word, folder: $0) }
  }

  /// Where saved tickets are: beside the identity.
  private mutating func peerBook() -> String? {
    if let folder = environment.configurationFolder { return "\(folder)/peers" }
    complaints.append(
      Complaint(
        cause: "there is no place for saved tickets: HOME is not set",
        fix: "set it, or give the ticket itself"))
    return nil
  }
}
