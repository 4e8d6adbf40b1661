internal import Tunnel

/// The part of the command line that speaks ssh's grammar of forwards.
extension Grammar {
  /// `-L`
  static let local = Option(
    "local-forward", short: "L", "[BIND:]PORT:HOST:PORT", .localForwards, isRepeatable: true,
    help: "listen here, and lead to a destination that the share allows, or with the name of a "
      + "service instead of HOST:PORT to that; a path instead of [BIND:]PORT listens at a Unix socket"
  )
  /// `-R`
  static let remote = Option(
    "remote-forward", short: "R", "[BIND:]PORT:HOST:PORT", .remoteForwards, isRepeatable: true,
    help:
      "have the sharing side listen, where its --allow-listen lets it, and lead to HOST:PORT as "
      + "seen from here, or to the path of a Unix socket")
  /// `-D`
  static let dynamic = Option(
    "dynamic-forward", short: "D", "[BIND:]PORT", .proxyPlace, isRepeatable: true,
    help: "open a proxy (SOCKS5, SOCKS4a, HTTP) to what the share allows")
  /// `-W`
  static let stdio = Option(
    "stdio", short: "W", "HOST:PORT|NAME", .stdioForward,
    help:
      "join standard input and output to a destination or a service; standard output is data only")
  /// Where peers may have us listen.
  static let allowListen = Option(
    "allow-listen", "RULES", .listenRules, default: "nowhere",
    help:
      "let peers have this side listen, as with `qtun to -R`: ports of the loopback addresses as "
      + "8000-8010, others as 0.0.0.0:80 or *:8000-8010, with commas between; * as a port takes in a "
      + "free one")
  /// Whom to go to.
  static let peer = Argument(
    "TICKET|NAME|-", .text, isOptional: true,
    help:
      "the line that `qtun share` printed, or a name that `qtun ticket save` gave it; `-` reads "
      + "the line from standard input, and where it is left out the variable QTUN_TICKET holds it")
  /// What a ticket is saved as.
  static let peerName = Argument(
    "NAME", .peerName, help: "what `qtun to` shall call it: letters, digits, dots, hyphens")
  /// What is saved.
  static let savedTicket = Argument(
    "TICKET|-", .text, help: "the ticket; `-` reads it from standard input")

  static let to = CommandSpec(
    name: "to",
    summary: "forward ports by ssh's grammar: -L, -R, -D, -W",
    description: [
      "Opens what the options say on one session, until the command is ended. BIND is 127.0.0.1 where "
        + "it is left out, and every address as `*` or as an empty word in front of the colon. Ports may "
        + "be ranges, as in -L 8000-8010:host:9000, up to \(PortRange.countMax) at once.",
      "-L and -W to a destination, and -D, need a share with a dynamic service, such as `qtun share "
        + "dynamic:10.0.0.0/8:22`. -R needs one with --allow-listen, and a ticket that is not limited "
        + "to some services.",
      "-W is for programs that want a command for their connections, such as ssh -o ProxyCommand='qtun "
        + "to home -W %h:%p' host.",
      "Prints a line for each, with the option, the address that is open and where it leads. A name "
        + "stands for a ticket that `qtun ticket save` has put into ~/.config/qtun/peers; without one "
        + "a host's name would say nothing about who answers.",
    ],
    arguments: [peer.spec],
    options: [
      local.spec, remote.spec, dynamic.spec, stdio.spec, retry.spec, noReconnect.spec,
      proxyAuth.spec, proxyProtocol.spec,
    ] + dialOptions + sessionOptions,
    examples: [
      ("qtun to TICKET -L 8080:intranet:80", "open a host of the far network at 127.0.0.1:8080"),
      ("qtun to TICKET -L 8080:web -D 1080", "open a service, and a proxy beside it"),
      (
        "qtun to home -R 8080:localhost:3000",
        "let the far side use our port 3000, at its port 8080"
      ),
      ("qtun to home -W host:22", "join standard input and output to it"),
    ])

  static let ticketSave = CommandSpec(
    name: "ticket save",
    summary: "give a ticket a name for `qtun to`",
    description: [
      "Writes the ticket to a file that only its owner can read, ~/.config/qtun/peers/NAME. A ticket of "
        + "that name is replaced; to forget it, remove the file."
    ],
    arguments: [peerName.spec, savedTicket.spec],
    options: [],
    examples: [("qtun ticket save home -", "save the ticket on standard input as home")])
}

extension ValueParser where Value == [LocalForward] {
  static let localForwards = ValueParser { (text) throws(ValueProblem) in
    try LocalForward.parse(text)
  }
}

extension ValueParser where Value == [RemoteForward] {
  static let remoteForwards = ValueParser { (text) throws(ValueProblem) in
    try RemoteForward.parse(text)
  }
}

extension ValueParser where Value == HostPort {
  /// `[BIND:]PORT` as ssh has it.
  static let proxyPlace = ValueParser { (text) throws(ValueProblem) in
    var fields = ForwardFields(text)
    let (host, ports) = try fields.takeListener(form: "1080, or 127.0.0.1:1080", isAlone: true)
    guard fields.rest.isEmpty, ports.count == 1 else {
      throw ValueProblem(
        text, "is more than an address", fix: "write 1080; a proxy takes its destinations later")
    }
    return HostPort(host: host, port: ports.first)
  }
}

extension ValueParser where Value == StdioForward {
  static let stdioForward = ValueParser { (text) throws(ValueProblem) in
    try StdioForward.parse(text)
  }
}

extension ValueParser where Value == ListenRules {
  static let listenRules = ValueParser { (text) throws(ValueProblem) in
    do throws(ListenRuleError) {
      return try ListenRules(text)
    } catch {
      switch error {
      case .unreadable(let rule):
        throw ValueProblem(
          text, "has a rule that cannot be read: \(ValueProblem.shown(rule))",
          fix: "write [ADDR:]PORTS with commas between, such as 8000-8010, 0.0.0.0:80, [::]:443 or "
            + "*:8000-9000")
      case .tooMany: throw ValueProblem(text, "has too many rules", fix: "write 256 at most")
      }
    }
  }
}

extension ValueParser where Value == String {
  /// The name of a saved ticket; it becomes that of a file.
  static let peerName = ValueParser { (text) throws(ValueProblem) in
    guard Service.isName(text), !text.lowercased().hasPrefix("qtun1") else {
      throw ValueProblem(
        text, "cannot be the name of a ticket",
        fix: "use up to 63 letters, digits, dots, hyphens and underscores, such as home")
    }
    return text
  }
}
