internal import Tunnel

/// The part of the command line about which way sessions go.
extension Grammar {
  /// Which way a session goes.
  static let path = Option(
    "path", "auto|direct|relay", ValueParser<PathPolicy>.choice, default: "auto",
    help: "which way the session goes: auto begins on a relay of the ticket where nothing direct "
      + "stands yet, and moves; direct never sends anything of it through a relay, and ends with 10 "
      + "where there is no direct path; relay stays there, and tells the peer no address of ours")
  /// The same for whoever is dialled.
  static let sharePath = Option(
    "path", "auto|direct|relay", ValueParser<PathPolicy>.choice, default: "auto",
    help: "which way sessions go that begin at --rendezvous: auto through it and then directly; "
      + "direct never through it; relay only through it, with no address in the ticket and none told "
      + "to peers")
  /// How long the start waits.
  static let waitDirect = Option(
    "wait-direct", "DURATION", .duration(in: .milliseconds(1)...(.seconds(3_600))),
    default: "start at once; with --path direct, as long as there is hope, 20s at most",
    help:
      "open nothing before the session goes directly, for so long; then go on through the relay, "
      + "or with --path direct end with 10")
  /// Who brings us to the peer.
  static let dialRendezvous = Option(
    "rendezvous", "KEY@HOST[:PORT]", .rendezvous, isRepeatable: true,
    default: "those of the ticket",
    help: "a relay to look for the share at, besides those of the ticket; "
      + "\(RendezvousAddress.countMax) in all. The share has to be registered there")

  /// What every command that dials takes.
  static let dialOptions = [
    carrier.spec, path.spec, waitDirect.spec, dialRendezvous.spec, noPortMapping.spec, proxy.spec,
  ]
}

extension CommandLineParser {
  mutating func dialSettings() -> DialSettings {
    var settings = DialSettings(carriers: value(of: Grammar.carrier) ?? .auto)
    settings.path = value(of: Grammar.path) ?? .automatic
    settings.waitDirect = value(of: Grammar.waitDirect)
    settings.rendezvous = values(of: Grammar.dialRendezvous)
    settings.mapsPort = count(Grammar.noPortMapping) == 0
    checkPath(settings)
    checkCount(of: settings.rendezvous)
    let word = options.last { $0.spec.long == Grammar.proxy.spec.long }?.value
    do throws(ValueProblem) {
      settings.proxy = try ProxyChoice(word: word, environment: environment)
    } catch {
      // The word on the command line has been complained about already.
      if word == nil {
        complaints.append(
          Complaint(
            cause: "\(ProxyChoice.variables[0]): \(error.cause)",
            fix: "\(error.fix), or give --proxy none"))
      }
    }
    return settings
  }

  private mutating func checkPath(_ settings: DialSettings) {
    if settings.carriers == .relay, settings.path == .direct {
      complaints.append(
        Complaint(
          cause: "--carrier relay and --path direct contradict each other", fix: "keep one of them")
      )
    }
    if settings.waitDirect != nil, settings.staysOnRelay {
      complaints.append(
        Complaint(
          cause: "--wait-direct waits for what \(Self.relayWords(settings)) rules out",
          fix: "keep one of them"))
    }
  }

  private static func relayWords(_ settings: DialSettings) -> String {
    settings.path == .relay ? "--path relay" : "--carrier relay"
  }

  mutating func checkCount(of rendezvous: [RendezvousName]) {
    guard rendezvous.count > RendezvousAddress.countMax else { return }
    complaints.append(
      Complaint(
        cause: "--rendezvous is given \(rendezvous.count) times",
        fix: "give \(RendezvousAddress.countMax) at most"))
  }
}
