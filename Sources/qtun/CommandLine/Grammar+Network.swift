/// The part of the command line about networks and paths.
extension Grammar {
  /// Leaves the router alone.
  static let noPortMapping = Flag(
    "no-port-mapping", help: "do not ask the router for a port (PCP, NAT-PMP, UPnP)")
  /// A relay, as one more server to ask.
  static let vantageRelay = Option(
    "rendezvous", "KEY@HOST[:PORT]", .relayPlace, isRepeatable: true,
    help: "a `qtun relay` to ask as well, for it answers STUN at two ports; HOST[:PORT] will do")
  /// How often to ask.
  static let count = Option(
    "count", short: "c", "N", .count(in: 1...1_000_000),
    default: "until Ctrl-C, or 30 with --until-direct", help: "stop after so many pings")
  /// Stops when the session goes directly over UDP.
  static let untilDirect = Flag(
    "until-direct",
    help: "end with 0 at the first answer that came directly over UDP, with 10 if none did")
  /// The invitation to whoever shall be pinged.
  static let pingTicket = Argument(
    "TICKET|-", .text, isOptional: true,
    help:
      "the line that `qtun share` printed; `-` reads it from standard input, and where it is left "
      + "out the variable QTUN_TICKET holds it")

  static let netcheck = CommandSpec(
    name: "netcheck",
    summary: "tell what this network allows, and what to change",
    description: [
      "Prints what can be known of the way from here to the internet: addresses, how the NAT gives out "
        + "ports and whom it lets in, whether the router maps ports on request, and then which "
        + "peers will be reached directly. Takes three seconds at most.",
      "Without --stun and --rendezvous nobody beyond the router is asked. The router is asked for a port, which is given "
        + "back at once. Ends with 0, or with 5 when servers were named and none of them answered "
        + "over UDP.",
    ],
    arguments: [],
    options: [stun.spec, vantageRelay.spec, noPortMapping.spec],
    examples: [
      ("qtun netcheck", "look at this machine and its router"),
      ("qtun netcheck --stun stun.example.org --stun 192.0.2.7:3478", "ask two servers as well"),
      ("qtun netcheck --rendezvous relay.example.org", "ask a relay"),
    ])

  static let ping = CommandSpec(
    name: "ping",
    summary: "see how a share is reached, and how fast it answers",
    description: [
      "Opens a session as `qtun connect` does, without opening any address here, and sends a packet's "
        + "worth of data through it and back every second. Each answer prints the road that it took and "
        + "the time; what is not back within five seconds is lost. It uses up one of a ticket's uses "
        + "like any session.",
      "Ends with 0 when there was an answer, with 5 when there was none, with 10 when --until-direct "
        + "was given and no answer came directly over UDP.",
    ],
    arguments: [pingTicket.spec],
    options: [count.spec, untilDirect.spec] + dialOptions + [identity.spec, idleTimeout.spec],
    examples: [
      ("qtun ping TICKET -c 3", "ping three times"),
      ("qtun ping TICKET --until-direct", "wait for a direct path"),
    ])
}

/// What `qtun netcheck` needs.
struct NetcheckSettings: Equatable, Sendable {
  /// Whom to ask, as they were written.
  let servers: [HostPort]
  /// Whether the router is asked for a port.
  let mapsPort: Bool

  /// As many as a `NATProbe` asks.
  static let serversMax = 4
  /// RFC 8489 §14
  static let defaultPort: UInt16 = 3_478
}

/// What `qtun ping` needs.
struct PingSettings: Equatable, Sendable {
  /// Where the ticket is.
  let ticket: TicketSource
  /// How many pings; nil for no end.
  let count: UInt64?
  /// Whether a direct answer ends it.
  let untilDirect: Bool
  /// What may carry the session.
  let dialling: DialSettings
  /// The session's settings.
  let session: SessionSettings

  /// Seconds, since there is one ping each: a path that is not direct by then will not be soon.
  static let untilDirectCount: UInt64 = 30
}
