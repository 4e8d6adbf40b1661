internal import Tunnel

/// A command line that has been understood: what to do, with every value in its type.
struct Invocation: Equatable, Sendable {
  /// What holds for every command.
  let settings: GlobalSettings
  /// The command.
  let action: Action

  /// What to do.
  enum Action: Equatable, Sendable {
    /// Offer a service.
    case share(ShareSettings)
    /// Open a shared service.
    case connect(ConnectSettings)
    /// Join standard input and output to a peer's.
    case pipe(PipeSettings)
    /// See how a share is reached.
    case ping(PingSettings)
    /// Measure this network.
    case netcheck(NetcheckSettings)
    /// Forward by ssh's grammar.
    case to(ToSettings)
    /// Keep a ticket under a name, in a file of that name in the folder.
    case savePeer(name: String, ticket: TicketSource, folder: String)
    /// Introduce others to each other.
    case relay(RelaySettings)
    /// Install, remove or look at the service of a relay.
    case service(ServiceSettings)
    /// Make, list or revoke tokens of a relay.
    case token(TokenSettings)
    /// Do netpunch's work.
    case punch(PunchSettings)
    /// Make, show, list or revoke tickets.
    case ticket(TicketSettings)
    /// Tell how the runs of this user are doing.
    case status
    /// Make an identity.
    case keygen(KeygenSettings)
    /// Print versions.
    case version
    /// Print a help page on standard output; exit status 0.
    case help(HelpPage)
    /// Nothing was asked for: print the short usage on standard error; exit status 2.
    case usage
  }
}

/// What holds for every command.
struct GlobalSettings: Equatable, Sendable {
  /// The least important log lines to write.
  var logLevel: LogLevel = .info
  /// Whether no status line and no summary are wanted.
  var isQuiet = false
  /// The form of log lines.
  var logFormat: LogFormat = .text
  /// Whether results on standard output are JSON.
  var isJSON = false
}

/// What `share` and `connect` have in common.
struct SessionSettings: Equatable, Sendable {
  /// The file with the private key.
  var identityFile: String
  /// The congestion controller.
  var congestion: CongestionControl = congestionDefault
  /// How long the peer may be silent.
  var idleTimeout: Duration = idleTimeoutDefault
  /// How long a UDP flow may be idle.
  var udpTimeout: Duration = udpTimeoutDefault
  /// Where to write the session's secrets; nil unless the user allowed it.
  var keylogFile: String?

  /// The congestion controller where none is chosen.
  static let congestionDefault = CongestionControl.cubic
  /// The silence that ends a session where none is chosen: a working day, so that a laptop may
  /// sleep and a network fail without any connection noticing.
  static let idleTimeoutDefault = Duration.seconds(8 * 3_600)
  /// The silence of both sides that ends a UDP flow where none is chosen: more than the 30 s that
  /// some NATs give one, less than what a machine that asks for names would have add up.
  static let udpTimeoutDefault = Duration.seconds(60)
  /// From what a slow path survives to what is as good as never.
  static let idleTimeoutRange = Duration.seconds(1)...Duration.seconds(7 * 86_400)
}

/// How fast a sender goes.
enum CongestionControl: String, CaseIterable, Sendable {
  /// RFC 9438.
  case cubic
  /// BBR version 2 as ngtcp2 has it.
  case bbr
}

/// What `qtun share` needs.
struct ShareSettings: Equatable, Sendable {
  /// What to offer, one or more, no name twice.
  let services: [NamedPlace]
  /// The UDP address to await peers at; nil for every address and a free port.
  let listen: HostPort?
  /// What TCP and Unix targets are told about each connection's origin.
  var proxyProtocol: ProxyProtocol?
  /// Who may come in; empty for everyone with a ticket.
  var allowed: [AllowEntry] = []
  /// Where peers may have it listen; nil for nowhere.
  var listenRules: ListenRules?
  /// What the ticket that it prints is limited to.
  var limits = TicketLimits()
  /// Who brings peers together.
  var meeting = MeetingSettings()
  /// What is shown to them.
  var relayTokens: [RelayTokenSource] = []
  /// What everybody can reach.
  var publicly = PublicShareSettings()
  /// The session's settings.
  let session: SessionSettings
}

/// What `qtun connect` needs.
struct ConnectSettings: Equatable, Sendable {
  /// Where the ticket is.
  let ticket: TicketSource
  /// Which services to open and where, no name twice; empty for all, at the ports that the sharing
  /// side suggests.
  let listeners: [NamedPlace]
  /// How the peer is dialled.
  let dialling: DialSettings
  /// When to dial again; nil unless the user said so.
  let retry: RetryChoice?
  /// How often to move to another carrier; nil but for tests.
  var cycle: Duration?
  /// The file with the user name and password for proxies; nil lets every local program in.
  var proxyAuthFile: String?
  /// STUN servers to ask besides the rendezvous.
  var stun: [HostPort] = []
  /// The session's settings.
  let session: SessionSettings
}

/// How a node is found, and finds out about its network.
struct MeetingSettings: Equatable, Sendable {
  /// Who brings peers together (sharing side; the ticket tells the other one).
  var rendezvous: [RendezvousName] = []
  /// STUN servers to ask besides.
  var stun: [HostPort] = []
  /// Whether the ticket has no addresses.
  var hidesAddresses = false
  /// Which way sessions go.
  var path = PathPolicy.automatic
  /// Whether the router is asked for a port.
  var mapsPort = true
}

/// When to dial again.
enum RetryChoice: Equatable, Sendable {
  /// Not at all.
  case never
  /// After the first attempt, too, until there is a session.
  case forever
  /// So many times in a row.
  case times(Int)
}

/// How a peer is dialled.
struct DialSettings: Equatable, Sendable {
  /// What may carry the session.
  var carriers: CarrierChoice = .auto
  /// Which way it goes.
  var path = PathPolicy.automatic
  /// How long nothing is opened unless it goes directly; nil for not at all.
  var waitDirect: Duration?
  /// Relays besides those of the ticket.
  var rendezvous: [RendezvousName] = []
  /// Whether the router is asked for a port.
  var mapsPort = true
  /// What TCP goes through, if anything.
  var proxy: ProxyChoice?
}

/// What may carry a session.
enum CarrierChoice: String, CaseIterable, Sendable {
  /// UDP where it passes, TCP or a WebSocket where it does not, and back.
  case auto
  case udp
  case tcp
  case ws
  /// Anything, but to a relay: another word for a path.
  case relay
}

extension DialSettings {
  /// By one word or the other.
  var staysOnRelay: Bool { path == .relay || carriers == .relay }
}

/// What `qtun pipe` needs.
struct PipeSettings: Equatable, Sendable {
  /// Which end this is.
  let role: Role
  /// The session's settings.
  let session: SessionSettings

  /// One end of a pipe.
  enum Role: Equatable, Sendable {
    /// Make a ticket, for a file or for standard error, and wait for the peer at a UDP address; nil
    /// for every address and a free port.
    case waiting(listen: HostPort?, ticketFile: String?)
    /// Dial.
    case connecting(TicketSource, DialSettings)
  }
}

/// Where a ticket comes from; it has not been looked into.
enum TicketSource: Equatable, Sendable {
  /// It stood on the command line.
  case argument(String)
  /// It stood in QTUN_TICKET.
  case environment(String)
  /// It is to be read from standard input.
  case standardInput
  /// It was saved under a name, in this folder.
  case saved(name: String, folder: String)
}

/// What `qtun keygen` needs.
struct KeygenSettings: Equatable, Sendable {
  /// The file to write.
  let file: String
  /// Whether a file that exists may be overwritten.
  let overwrites: Bool
}
