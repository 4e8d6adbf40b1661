internal import Tunnel

/// What shares and relays say about public addresses.
extension Grammar {
  /// Reachable by everybody.
  static let publicly = Option(
    "public", "[[SERVICE=]PORT|NAME]", .publicChoice, isRepeatable: true, isValueOptional: true,
    help: "have the relays of --rendezvous listen for everybody who connects, without qtun: alone, "
      + "at a port that stays the same for this identity and service; at the PORT of the relay; or "
      + "for the host NAME at its HTTP port, or as tls:NAME at its TLS port. Several services need "
      + "SERVICE= in front")
  /// No picture of the address.
  static let noQR = Flag(
    "no-qr", help: "print no QR code of a public address; without a terminal there is none anyway")
  /// Who shares a public place.
  static let group = Option(
    "group", "FILE", .path, default: "nobody else may have the same public address",
    help: "share the public address with every `qtun share` that has the same file; made on first "
      + "use, and to be copied like a key")
  /// How they share it.
  static let balance = Option(
    "balance", Balance.allCases.map(\.rawValue).joined(separator: "|"), ValueParser<Balance>.choice,
    default: Balance.roundRobin.rawValue,
    help: "how a group spreads connections; what its first member says holds")
  /// Whether what is shared works.
  static let health = Option(
    "health", "CHECK", .healthCheck, default: "what visitors meet",
    help: "check the targets of public addresses, and have relays send nobody to one that fails: "
      + "tcp, or http:/PATH for a status from 200 to 399; behind it ,interval=5s ,timeout=2s ,fall=2 and "
      + ",rise=2 for the checks in a row that it takes")

  /// The ports of a relay.
  static let publicPorts = Option(
    "ports", "FIRST-LAST", .portRange, default: "none",
    help: "TCP and UDP ports to listen at for `qtun share --public`")
  /// The port of web sites.
  static let publicHTTP = Option(
    "http", "[ADDR:]PORT", .hostPort(.publicListener), default: "none",
    help: "TCP port of web sites that `qtun share --public NAME` serves, told apart by the host in "
      + "the request")
  /// The port of TLS services.
  static let publicTLS = Option(
    "tls", "[ADDR:]PORT", .hostPort(.publicListener), default: "none",
    help: "the same for TLS (`--public tls:NAME`), told apart by the name in the hello, and passed "
      + "on unopened")
  /// What HTTPS is served with.
  static let certificate = Option(
    "certificate", "FILE", .path, default: "no HTTPS for the names of --http",
    help:
      "PEM certificate (with its chain) for the names of --http: visitors of the --tls port who "
      + "want one of them are served by HTTPS, which ends at the relay. Read again when it changes")
  /// Its key.
  static let certificateKey = Option(
    "certificate-key", "FILE", .path, default: "the file of --certificate",
    help: "PEM key of the certificate")
  /// The names of a relay.
  static let publicNames = Option(
    "names", "NAMES", .nameRules, isRepeatable: true, default: "none",
    help: "names to give out, with commas between: app.example.com, *.example.com for all below, * "
      + "for any")
  /// What survives a restart.
  static let relayState = Option(
    "state", "DIR", .path, default: "the folder of the key file",
    help: "folder for what has to survive a restart: who holds which public address")
}
