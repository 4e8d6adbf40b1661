internal import Tunnel

/// The command line of `qtun`, declared once: the parser and the help pages both read it here.
enum Grammar {
  /// Every command, in the order of the help page.
  static let commands =
    [share, connect, to, pipe, relay, ping, netcheck, punch, status] + ticketCommands
    + tokenCommands + serviceCommands + [keygen, version, help]

  /// The options that every command takes.
  static let globalOptions = [
    verbose.spec, quiet.spec, logFormat.spec, json.spec, showHelp.spec, showVersion.spec,
  ]

  /// Every option once, for the tokenizer, which must know them before it knows the command.
  static let allOptions: [OptionSpec] = {
    var seen: Set<String> = []
    return (globalOptions + commands.flatMap(\.options)).filter { seen.insert($0.long).inserted }
  }()

  /// The words that a command line begins with.
  static let firstWords: [String] = {
    var seen: Set<String> = []
    let words = commands.map { $0.name.split(separator: " ").first.map(String.init) ?? $0.name }
    return words.filter { seen.insert($0).inserted }
  }()

  /// The command of that name.
  static func command(named name: String?) -> CommandSpec? {
    commands.first { $0.name == name }
  }
}

// MARK: - Options

extension Grammar {
  /// Raises the log level.
  static let verbose = Flag(
    "verbose", short: "v", help: "log each flow and change of state; -vv logs each packet")
  /// Lowers the log level and hides the status line.
  static let quiet = Flag("quiet", short: "q", help: "log warnings and errors only")
  /// Chooses the form of log lines.
  static let logFormat = Option(
    "log-format", "text|json", ValueParser<LogFormat>.choice, default: "text, or json with --json",
    help: "form of the log lines on standard error")
  /// Makes results readable by machines.
  static let json = Flag(
    "json", help: "print results on standard output as JSON, one object per line")
  /// Shows a help page.
  static let showHelp = Flag("help", short: "h", help: "show the help page of a command")
  /// Shows the version.
  static let showVersion = Flag("version", help: "show the version, like `qtun version`")

  /// The UDP address of a share.
  static let listen = Option(
    "listen", short: "l", "[ADDR:]PORT", .hostPort(.publicListener),
    default: "every address, a free port", help: "UDP address to await peers at")
  /// Tells targets whom connections come from.
  static let proxyProtocol = Option(
    "proxy-protocol", "v1|v2", ValueParser<ProxyProtocol>.choice,
    help: "tell TCP and Unix services the peer's address in front of each connection, by HAProxy's "
      + "PROXY protocol; v2 carries the peer's identity as well")
  /// What programs must show to a proxy.
  static let proxyAuth = Option(
    "proxy-auth", "FILE", .path, default: "every program of this machine may use the proxy",
    environment: "QTUN_PROXY_AUTH",
    help: "file whose first line is the USER:PASSWORD that programs must show to the proxies that "
      + "dynamic services are opened as")
  /// The key file.
  static let identity = Option(
    "identity", short: "i", "FILE", .path, default: "~/.config/qtun/identity",
    environment: "QTUN_IDENTITY", help: "file with the private key; made on first use")
  /// The congestion controller.
  static let congestion = Option(
    "congestion", "cubic|bbr", ValueParser<CongestionControl>.choice,
    default: SessionSettings.congestionDefault.rawValue,
    help: "how fast to send: bbr suits long or lossy paths")
  /// What may carry the session.
  static let carrier = Option(
    "carrier", "auto|udp|tcp|ws|relay", ValueParser<CarrierChoice>.choice, default: "auto",
    help: "what may carry the session: auto takes UDP where it passes, TLS over TCP or a WebSocket "
      + "where it does not, a relay of the ticket where nothing direct does, and goes back; relay "
      + "is another word for --path relay")
  /// What TCP goes through.
  static let proxy = Option(
    "proxy", "URL|none", ValueParser<ProxyURL>.proxy,
    default: "HTTPS_PROXY and NO_PROXY, or none",
    help: "HTTP proxy for the carriers over TCP, as http://[USER:PASSWORD@]HOST[:PORT]; UDP is "
      + "tried beside it")
  /// When to dial again.
  static let retry = Option(
    "retry", "N|forever|never", .retry,
    default: "forever for a session that was lost, never for the first attempt",
    help: "how often to dial again before giving up; if it is given, it holds for the first "
      + "attempt too")
  /// Another word for `--retry never`.
  static let noReconnect = Flag(
    "no-reconnect", help: "end when the session is lost, like --retry never")
  /// Makes a session move, so that moving can be tested.
  static let carrierCycle = Option(
    "carrier-cycle", "DURATION", .duration(in: .milliseconds(50)...(.seconds(3_600))),
    help: "for testing: move the session to another carrier this often")
  /// When to give up a silent peer.
  static let idleTimeout = Option(
    "idle-timeout", "DURATION", .duration(in: SessionSettings.idleTimeoutRange),
    default: Format.exact(SessionSettings.idleTimeoutDefault),
    help: "end a session after such a silence of the peer; until then it waits for the network")
  /// When a UDP flow is over.
  static let udpTimeout = Option(
    "udp-timeout", "DURATION", .duration(in: SessionSettings.idleTimeoutRange),
    default: Format.exact(SessionSettings.udpTimeoutDefault),
    help: "end a UDP flow when neither side sent anything for so long")
  /// Allows secrets to be written for a packet analyser.
  static let insecureKeylog = Flag(
    "insecure-keylog",
    help: "write the session's secrets to the file in SSLKEYLOGFILE; whoever reads it can "
      + "decrypt the session")
  /// Where the ticket of a pipe goes.
  static let ticketFile = Option(
    "ticket-file", "FILE", .path, default: "standard error",
    help: "file for the ticket, readable by its owner alone and removed at the end")
  /// Where a new key goes.
  static let out = Option(
    "out", short: "o", "FILE", .path, default: "the file that share and connect use",
    help: "file to write the private key to")
  /// Allows a key to be lost.
  static let force = Flag(
    "force", short: "f", help: "overwrite a file that exists; its key cannot be brought back")

  /// What `share` and `connect` have in common.
  static let sessionOptions = [
    identity.spec, congestion.spec, idleTimeout.spec, insecureKeylog.spec,
  ]
}

// MARK: - Arguments

extension Grammar {
  /// A service to offer.
  static let service = Argument(
    "SERVICE", .namedPlaces(.service), isRepeatable: true,
    help: "what to offer: a TCP service as [HOST:]PORT, where HOST is localhost if it is left "
      + "out; a UDP service as udp:[HOST:]PORT; a Unix socket as unix:PATH; the files of a folder, "
      + "over HTTP, as dir:PATH; or what the other side may choose itself, as dynamic:RULES (`qtun "
      + "help dynamic`). NAME= in front tells several apart")
  /// The invitation.
  static let ticket = Argument(
    "TICKET|-", .text, isOptional: true,
    help: "the line that `qtun share` printed; `-` reads it from standard input, and where it is "
      + "left out the variable QTUN_TICKET holds it")
  /// The invitation to a pipe.
  static let pipeTicket = Argument(
    "TICKET|-", .text, isOptional: true,
    help: "the line that the other `qtun pipe` printed, or the ticket of a share; `-` takes the "
      + "first line of standard input for it")
  /// The address to open.
  static let localAddress = Argument(
    "LISTEN", .namedPlaces(.localListener), isOptional: true, isRepeatable: true,
    help: "the address to open a service at, as [ADDR:]PORT, where ADDR is 127.0.0.1 if it is "
      + "left out and port 0 takes a free one, or as unix:PATH; a UDP service is opened at the UDP "
      + "port. NAME= in front says which service. Without any, all are opened at 127.0.0.1, at the "
      + "ports that they are shared from. A dynamic service becomes a proxy there: SOCKS5, SOCKS4a "
      + "and HTTP at one port")
  /// The page to show.
  static let topic = Argument(
    "TOPIC", .text, isOptional: true, isRepeatable: true,
    help: "a command, or one of the topics that `qtun help` lists"
  )
}

// MARK: - Commands

extension Grammar {
  private static let share = CommandSpec(
    name: "share",
    summary: "offer services to whoever holds the ticket",
    description: [
      "Prints a ticket, the only line on standard output, and serves everyone who connects with "
        + "it until the command is ended.",
      "With --public it prints one more line for each public address as soon as a relay listens "
        + "there, as HOST:PORT, udp:HOST:PORT, http://NAME or https://NAME, with the service's name "
        + "in front where there are several.",
      "Ctrl-C or SIGTERM takes no new connections and finishes the open ones; a second signal "
        + "ends at once.",
    ],
    arguments: [service.spec],
    options: [
      listen.spec, udpTimeout.spec, proxyProtocol.spec, allow.spec, allowListen.spec, expires.spec,
      uses.spec, rendezvous.spec, tokenFile.spec, sharePath.spec, noAddresses.spec,
      noPortMapping.spec, stun.spec, publicly.spec, noQR.spec, group.spec, balance.spec,
      health.spec,
    ] + sessionOptions,
    examples: [
      ("qtun share 3000", "offer localhost:3000"),
      ("qtun share dns=udp:192.168.1.1:53", "offer a UDP service"),
      (
        "qtun share 192.168.1.20:22 --listen 4433", "offer another machine, await peers at UDP 4433"
      ),
      ("qtun share web=3000 db=unix:/run/db.sock", "offer two services by name"),
      ("qtun share dir:./site", "offer the files of a folder as a web site"),
      ("qtun share dynamic:*:443", "let the other side choose public servers, at port 443"),
    ])

  private static let connect = CommandSpec(
    name: "connect",
    summary: "open shared services on this machine",
    description: [
      "Listens on local addresses; each connection to one comes out at its shared service. The "
        + "peer must prove the identity that the ticket names.",
      "Prints one address per line, with the service's name in front where there are several (`-` "
        + "for the one without a name), and `udp:` before the address of a UDP service.",
      "A session that is lost, because the share was started again or the machine was, is dialled "
        + "again; connections that come meanwhile wait for up to 30 s. A share that refuses us ends "
        + "the command at once.",
    ],
    arguments: [ticket.spec, localAddress.spec],
    options: dialOptions + [
      retry.spec, noReconnect.spec, udpTimeout.spec, proxyAuth.spec, carrierCycle.spec, stun.spec,
    ] + sessionOptions,
    examples: [
      ("qtun connect TICKET", "open it at 127.0.0.1, at the port that it is shared from"),
      ("qtun connect TICKET 8080", "open it at 127.0.0.1:8080"),
      ("qtun connect TICKET web=8080 db=unix:db.sock", "open two of several services"),
      (
        "qtun connect - 0.0.0.0:8080", "read the ticket from standard input, open it to the network"
      ),
    ])

  private static let pipe = CommandSpec(
    name: "pipe",
    summary: "join standard input and output to those of another machine",
    description: [
      "Without a ticket it prints one and waits for one peer; with a ticket it connects. Then "
        + "what one side reads on standard input comes out at the other's standard output, both "
        + "ways, byte by byte; an end of input arrives as an end of output.",
      "Ends with 0 when both directions have ended and each side has written everything, with 9 "
        + "when the pipe was cut off before. Standard output carries data alone: the ticket and, "
        + "with --json, the results are on standard error.",
    ],
    arguments: [pipeTicket.spec],
    options: [listen.spec, ticketFile.spec] + dialOptions + sessionOptions,
    examples: [
      ("qtun pipe", "wait for a peer; behind `tar c site |` it sends a folder"),
      ("qtun pipe TICKET", "join it; in front of `| tar x` it unpacks there"),
    ])

  private static let status = CommandSpec(
    name: "status",
    summary: "tell how your tunnels are doing",
    description: [
      "Asks every share, connect, to and pipe of yours on this machine, and tells for each the peers, "
        + "how they are connected and why not better, the round-trip time, loss, bytes, and open "
        + "connections.",
      "With --json it prints one object per line for each.",
    ],
    arguments: [],
    options: [],
    examples: [("qtun status", "look at them"), ("qtun status --json", "let a script look")])

  private static let keygen = CommandSpec(
    name: "keygen",
    summary: "make an identity",
    description: [
      "Writes a new Ed25519 private key to a file that only its owner can read, and prints the "
        + "fingerprint of its public half. `qtun share` does this by itself on first use."
    ],
    arguments: [],
    options: [out.spec, force.spec],
    examples: [("qtun keygen --out server.key", "make a key for a service")])

  private static let version = CommandSpec(
    name: "version",
    summary: "print the versions of qtun, its protocol and its libraries",
    description: ["Prints one line."],
    arguments: [],
    options: [],
    examples: [("qtun version --json", "print it for a script")])

  private static let help = CommandSpec(
    name: "help",
    summary: "explain a command or a topic",
    description: ["Prints a help page on standard output."],
    arguments: [topic.spec],
    options: [],
    examples: [
      ("qtun help share", "explain a command"), ("qtun help exit-codes", "explain a topic"),
    ])
}
