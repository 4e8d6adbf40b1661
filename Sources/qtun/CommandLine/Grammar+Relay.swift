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
    "name", "HOST[:PORT]", .relayName, default: "an address of this machine",
    help: "the public name or address to print, as others reach this machine")
  /// The relay's key file.
  static let relayIdentity = Option(
    "identity", short: "i", "FILE", .path, default: "~/.config/qtun/relay",
    help: "file with the private key; made on first use")

  /// Who brings peers together.
  static let rendezvous = Option(
    "rendezvous", "KEY@HOST[:PORT]", .rendezvous, isRepeatable: true,
    help: "a relay that brings peers to this share where they cannot reach it, as `qtun relay` "
      + "printed it; twice for two")
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
      "With --ports, --http or --tls it also listens for everybody on behalf of shares, which ask "
        + "for it with --public. A port or name belongs to the share's key, for an hour after it was "
        + "used last, also when the relay is started again. At one time it takes "
        + "\(PublicLimits().visitorsPerListenerMax) visitors of each, "
        + "\(PublicLimits().visitorsPerSourceMax) from one source, "
        + "\(PublicLimits().visitorsPerNodeMax) of one share, and \(PublicLimits().visitorsMax) in all.",
      "Prints one line on standard output: what to give to --rendezvous.",
    ],
    arguments: [],
    options: [
      relayListen.spec, relayName.spec, relayIdentity.spec, publicPorts.spec, publicHTTP.spec,
      publicTLS.spec, certificate.spec, certificateKey.spec, publicNames.spec, openRelay.spec,
      allowPublic.spec, relayState.spec,
    ],
    examples: [
      ("qtun relay --name relay.example.org", "serve at UDP and TCP port \(Relay.defaultPort)"),
      ("qtun relay --listen 443", "serve at a port that most firewalls let through"),
      ("qtun relay --ports 10000-10100 --allow friends", "give out public ports to some"),
    ])
}
