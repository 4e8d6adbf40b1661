internal import Tunnel

/// The command line of `qtun relay`, and what others say to use one.
extension Grammar {
  /// The address of a relay.
  static let relayListen = Option(
    "listen", short: "l", "[ADDR:]PORT", .hostPort(.publicListener),
    default: "every address, port \(Relay.defaultPort)",
    help: "UDP and TCP address to serve at; the next UDP port answers STUN too. Port 443 passes "
      + "more firewalls")
  /// What the printed line calls it.
  static let relayName = Option(
    "name", "HOST[:PORT]", .ownName, default: "an address of this machine",
    help: "the public name or address to print, as others reach this machine; with a port where "
      + "that is not the one of --listen")
  /// The relay's key file.
  static let relayIdentity = Option(
    "identity", short: "i", "FILE", .path, default: "~/.config/qtun/relay",
    help: "file with the private key; made on first use")

  /// A file with the options.
  static let relayConfig = Option(
    "config", "FILE", .path,
    help:
      "file with more of these options, one a line: the long name and the value behind a blank. "
      + "What stands on the command line goes before it; SIGHUP has it read again")
  /// Who may use it without a token.
  static let relayAllow = Option(
    "allow", "FILE|IDENTITY", .allowEntry, isRepeatable: true, default: "holders of tokens only",
    help: "let in these identities without a token: one as `qtun keygen` prints it, or a file with "
      + "one a line, which is read again when it changes")
  /// Whether everybody may use it.
  static let relayOpen = Flag(
    "open", help: "let everybody use the relay, with neither token nor list")
  /// One of the limits.
  static let relayLimit = Option(
    "limit", "NAME=N", .relayLimit, isRepeatable: true,
    default: "those that `qtun help limits` lists",
    help: "set a limit, such as nodes=2000 or rate-per-session=50mbit")
  /// Where operators look.
  static let relayAdmin = Option(
    "admin", "[ADDR:]PORT", .hostPort(.localListener), default: "none",
    help:
      "TCP address for operators, on 127.0.0.1 unless another is named: /metrics for Prometheus, "
      + "/healthz, and /readyz, which is 503 while the relay is about to stop")
  /// Loops that forward.
  static let relayCores = Option(
    "cores", "N", .count(in: 1...UInt64(Relay.coresMax)),
    default: "as many as this process may use, \(RelaySettings.coresDefaultMax) at most",
    help: "forward datagrams on so many processors, each with a thread and its part of the "
      + "sessions; everything else stays on the first")
  /// How long to wait for sessions.
  static let relayDrain = Option(
    "drain", "DURATION", .duration(in: .zero...(.seconds(3_600))),
    default: Format.exact(RelaySettings.drainDefault),
    help: "when told to stop, serve those who talk through the relay for so long, after a notice")

  /// Who brings peers together.
  static let rendezvous = Option(
    "rendezvous", "KEY@HOST[:PORT]", .rendezvous, isRepeatable: true,
    help: "a relay that brings peers to this share where they cannot reach it, as `qtun relay` "
      + "printed it; give it again for others, \(RendezvousAddress.countMax) at most. Peers use two of "
      + "them, so that one may fail")
  /// More to learn about our own NAT from.
  static let stun = Option(
    "stun", "HOST[:PORT]", .relayName, isRepeatable: true,
    default: "nobody is asked",
    help: "STUN server to ask for our address, besides the rendezvous if there is one: two vantage "
      + "points tell how the NAT behaves. `qtun relay` answers too")
  /// Nothing but the rendezvous.
  static let noAddresses = Flag(
    "no-addresses",
    help: "leave this machine's addresses out of the ticket, so that peers come by --rendezvous "
      + "only")

  /// What is shown to relays.
  static let tokenFile = Option(
    "token-file", "FILE", .path, isRepeatable: true, default: "QTUN_RELAY_TOKEN",
    help: "file with a relay's token, as `qtun token add` printed it; /dev/fd/N takes it from a "
      + "descriptor. Each token is shown to the relay that it is for, and to no other")

  static let relay = CommandSpec(
    name: "relay",
    summary: "help others to find each other: a public rendezvous",
    description: [
      "Runs on a machine with a public address. Shares register there under their identity, and "
        + "whoever holds a ticket is introduced to its share: both sides learn each other's "
        + "addresses and send at the same time, so that their NATs let them through. It also "
        + "answers STUN.",
      "Until they are connected directly, and where they cannot be, it moves what they send each "
        + "other: encrypted from end to end, up to 200 Mbit/s for each session and 1 Gbit/s in all, "
        + "which sessions share fairly.",
      "It learns who talks to whom and at which addresses. It learns no ticket, and cannot read or "
        + "change what is sent.",
      "Serves those who show one of its tokens (`qtun token add`), those whom --allow names, or "
        + "with --open everybody. Whoever connects to a share that it serves needs nothing of that. "
        + "Tokens and lists are read again when they change; who loses his right has to leave within "
        + "five seconds. All limits are on: `qtun help limits`.",
      "With --ports, --http or --tls it also listens for everybody on behalf of shares, which ask "
        + "for it with --public; a token has to allow the port or name. It belongs to the share's key, "
        + "for an hour after it was used last, also when the relay is started again.",
      "Prints one line on standard output: what to give to --rendezvous. SIGHUP reads --config again, "
        + "and applies all of it or nothing; SIGTERM tells the nodes and stops after --drain.",
    ],
    arguments: [],
    options: [
      relayListen.spec, relayName.spec, relayIdentity.spec, relayConfig.spec, relayAllow.spec,
      relayOpen.spec, relayLimit.spec, relayAdmin.spec, relayDrain.spec, relayCores.spec,
      publicPorts.spec, publicHTTP.spec, publicTLS.spec, certificate.spec, certificateKey.spec,
      publicNames.spec, relayState.spec,
    ],
    examples: [
      ("qtun relay --name relay.example.org", "serve at UDP and TCP port \(Relay.defaultPort)"),
      ("qtun relay --listen 443", "serve at a port that most firewalls let through"),
      ("qtun relay --open --limit rate=100mbit", "serve everybody, with 100 Mbit/s in all"),
      ("qtun relay --ports 10000-10100 --allow friends", "give out public ports to some"),
    ])
}
