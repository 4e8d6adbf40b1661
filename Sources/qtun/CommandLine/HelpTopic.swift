internal import Tunnel

/// The subjects beside the commands that have a help page.
enum HelpTopic: String, CaseIterable, Sendable {
  /// All commands with their arguments.
  case commands
  /// What a ticket is.
  case tickets
  /// What `dynamic:` services are.
  case dynamic
  /// What the exit status says.
  case exitCodes = "exit-codes"
  /// Which environment variables are read.
  case environment
  /// What a relay grants to whom.
  case limits
  /// What is protected and what is not.
  case security

  /// One clause for the list of topics.
  var summary: String {
    switch self {
    case .commands: "every command with its arguments"
    case .tickets: "what a ticket is and how to hand it over"
    case .dynamic: "services whose destinations the other side chooses"
    case .exitCodes: "what the exit status says"
    case .environment: "the environment variables that are read"
    case .limits: "what a relay grants to whom, and how to change it"
    case .security: "what is protected, and what you must protect"
    }
  }

  /// The page, without the last newline.
  var text: String {
    switch self {
    case .commands:
      return HelpPage.table(Grammar.commands.map { ($0.synopsis, $0.summary) })
    case .exitCodes:
      let codes = ExitCode.allCases.map { code in
        ("\(code.rawValue)  \(code.name)", code.meaning)
      }
      return paragraphs(["The exit status of qtun:"]) + "\n\n" + HelpPage.table(codes)
    case .environment:
      return paragraphs(["The environment variables that qtun reads:"]) + "\n\n"
        + HelpPage.table(Self.variables)
    case .dynamic:
      return paragraphs(Self.dynamicParagraphs)
    case .tickets:
      return paragraphs(Self.ticketParagraphs)
    case .limits:
      let rows = RelayLimit.allCases.map { limit in
        (limit.rawValue, "\(limit.text(RelayLimits()[limit])): \(limit.summary)")
      }
      return paragraphs(Self.limitParagraphs) + "\n\n" + HelpPage.table(rows)
    case .security:
      return paragraphs(Self.securityParagraphs)
    }
  }

  private func paragraphs(_ texts: [String]) -> String {
    texts.map { HelpPage.wrap($0, indent: 0).joined(separator: "\n") }.joined(separator: "\n\n")
  }
}

// MARK: - Texts

extension HelpTopic {
  private static let variables = [
    ("QTUN_TICKET", "the ticket, where `qtun connect`, `to` or `ping` is given none"),
    ("QTUN_RELAY_TOKEN", "the relay's token, where `qtun share` has no --token-file"),
    ("QTUN_IDENTITY", "the key file, where --identity or --out is not given"),
    ("HTTPS_PROXY, https_proxy", "the HTTP proxy, where --proxy is not given"),
    ("NO_PROXY, no_proxy", "addresses and ranges that HTTPS_PROXY does not hold for"),
    ("XDG_CONFIG_HOME, HOME", "where the key file is otherwise, and saved tickets are"),
    ("QTUN_PROXY_AUTH", "the file with the proxy's password, where --proxy-auth is not given"),
    (
      "XDG_RUNTIME_DIR",
      "where the sockets for `qtun status` are; else in XDG_STATE_HOME or ~/.local/state, or in /tmp"
    ),
    ("SSLKEYLOGFILE", "where secrets are written, only with --insecure-keylog"),
    ("QTUN_PUNCH_FD", "set, not read: the socket that `qtun punch -handover` leaves its program"),
    ("NO_COLOR", "set to anything: no colors"),
    ("TERM", "dumb or not set: no colors and no status line"),
  ]

  private static let ticketParagraphs = [
    "A ticket is one line that begins with qtun1. It names the identity of the share and the "
      + "addresses to find it at, and it carries a capability, the right to use the share. A "
      + "checksum finds slips of copying.",
    "Whoever holds the ticket can use the share, so hand it over like a password. On a command "
      + "line other users of the machine can see it: `qtun connect -` reads it from standard "
      + "input, and QTUN_TICKET holds it too.",
    "A ticket works for as long as the share keeps its identity and its addresses. Give `qtun "
      + "share` a fixed port with --listen to keep a ticket across restarts.",
    "`qtun ticket make` makes tickets with limits while a share runs: for some services (--share), "
      + "until some time (--expires), for some number of identities (--uses). `qtun share --expires "
      + "1h --uses 1` prints such a ticket at once. Sessions end with their ticket: when it expires, "
      + "and within five seconds of `qtun ticket revoke`.",
    "A use is an identity that opened a session; it may come back as often as it likes, and nobody "
      + "else can take its place. The list of tickets stands beside the key file, with .access at "
      + "the end of its name, and holds no secret. A ticket with limits that is not in it lets "
      + "nobody in. `qtun ticket list`, `show` and `revoke` work on it.",
  ]

  private static let dynamicParagraphs = [
    "A share decides what can be reached through it. `qtun share dynamic:RULES` lets the other side "
      + "name hosts and ports itself, as far as the rules allow, and nothing else. Several rules "
      + "have commas between them.",
    "example.com:443 allows one name, *.example.com:80-443 the names below it, *:443 every name and "
      + "every public address, 10.0.0.0/8:22 and [2001:db8::]/32:* networks. Ports are a number, a "
      + "range, or * for all. Quote a * where the shell would take it.",
    "The sharing side looks a name up, once, and connects only to addresses that the rules allow. "
      + "Rules about names, and *, open public addresses. Private networks, this machine and its own "
      + "addresses, link-local, multicast and reserved ones, and the metadata services of clouds "
      + "stay closed unless a rule names a network inside of them: 192.168.1.0/24:* opens that one, "
      + "127.0.0.1:8080 one port of this machine, 0.0.0.0/0:* none of them.",
    "`qtun connect` opens a dynamic service as a proxy, at 127.0.0.1:1080 unless you choose: "
      + "SOCKS5 and SOCKS4a, with names looked up at the far end, and HTTP (CONNECT, and http:// "
      + "URLs), all at one port: curl -x socks5h://127.0.0.1:1080 https://example.com/. SOCKS5 "
      + "relays UDP, too, under the same rules; datagrams to what they do not allow are dropped.",
    "Every program of this machine can use the proxy; --proxy-auth asks for a password. A web page "
      + "cannot: what it sends to the port by itself is answered with 400.",
  ]

  private static let limitParagraphs = [
    "What a relay grants, and to whom. All limits are on; `qtun relay --limit NAME=N` sets one, "
      + "rates with a unit such as 20mbit. Addresses are one IPv4 address or one IPv6 /64. A token's "
      + "own rate (`qtun token add --rate`) comes on top of them.",
    "Whoever is above a rate loses what is too much, and is told so, once a second at most; whoever "
      + "asks too often is told when to ask again. What is above the rate of the whole relay waits, "
      + "and sessions take turns, byte for byte.",
  ]

  private static let securityParagraphs = [
    "Everything in the tunnel is encrypted with TLS 1.3 between the two ends. Each end has an "
      + "Ed25519 key; the ticket pins the share's, and a peer that cannot prove it is refused with "
      + "exit status 8 and both fingerprints.",
    "You must protect the key file, which only its owner may read, and the ticket, which is the "
      + "right to use the share. qtun writes neither to a log.",
    "`qtun connect` opens an address on 127.0.0.1 unless you name another: every user and program "
      + "of this machine can then reach the shared service. An address such as 0.0.0.0 lets the "
      + "whole network in.",
    "--insecure-keylog writes secrets that decrypt the session to a file. It is for debugging "
      + "with a packet analyser and for nothing else.",
  ]
}
