internal import Tunnel

/// The command line of `qtun token`.
extension Grammar {
  /// Ports that its holder may be served at.
  static let tokenPorts = Option(
    "allow-ports", "PORT|FIRST-LAST", .portRange, isRepeatable: true, default: "none",
    help: "public ports that its holder may be served at")
  /// Names that its holder may be served under.
  static let tokenNames = Option(
    "allow-name", "NAMES", .nameRules, isRepeatable: true, default: "none",
    help: "public names that its holder may be served under, with commas between; *.example.org is "
      + "every name below it, * every name")
  /// What may be relayed for its holders.
  static let tokenRate = Option(
    "rate", "RATE", .byteRate, default: "the relay's own limits",
    help: "what may be relayed for all who use the token together, such as 20mbit")
  /// Whether its holder may not be found.
  static let tokenNoRelay = Flag(
    "no-relay", help: "do not let its holder register and be reached through the relay")
  /// When it ends.
  static let tokenExpires = Option(
    "expires", "TIME", .expiry, default: "never",
    help: "when the token ends, and its holders have to leave: 24h from now, or at 2026-12-01 or "
      + "2026-12-01T15:30Z (UTC)")
  /// What it is called.
  static let tokenLabel = Option("label", "TEXT", .label, help: "a name for the list of tokens")

  /// A token that is taken back.
  static let revokedToken = Argument(
    "ID|LABEL", .text, help: "the token: its number or label as `qtun token list` shows it")

  /// `qtun token ...`
  static let tokenCommands = [tokenAdd, tokenList, tokenRevoke]

  private static let tokenAdd = CommandSpec(
    name: "token add",
    summary: "make a token that lets its holder use this machine's relay",
    description: [
      "Prints the token, the only line on standard output. It is not kept: the list beside the "
        + "relay's key file has a digest of it. A relay that runs takes it at once.",
      "Give it to the sharing side by --token-file or QTUN_RELAY_TOKEN. Those who connect to a share "
        + "need none.",
    ],
    arguments: [],
    options: [
      tokenLabel.spec, tokenExpires.spec, tokenRate.spec, tokenPorts.spec, tokenNames.spec,
      tokenNoRelay.spec, relayIdentity.spec,
    ],
    examples: [
      ("qtun token add --label anna --rate 20mbit", "for one person, with 20 Mbit/s in all"),
      ("qtun token add --expires 30d --allow-ports 10000-10100", "with public ports, for a month"),
    ])

  private static let tokenList = CommandSpec(
    name: "token list",
    summary: "list the tokens of this machine's relay",
    description: [
      "Prints one line for each: number, status, when it was made and ends, rate, what it allows and "
        + "label."
    ],
    arguments: [],
    options: [relayIdentity.spec],
    examples: [("qtun token list --json", "list them for a script")])

  private static let tokenRevoke = CommandSpec(
    name: "token revoke",
    summary: "take a token back and send its holders away",
    description: [
      "Nobody comes in with it any more, and a running relay sends away those who did, within five "
        + "seconds. Their direct sessions go on; what crosses the relay ends."
    ],
    arguments: [revokedToken.spec],
    options: [relayIdentity.spec],
    examples: [("qtun token revoke anna", "take back the token with this label")])
}
