internal import QuicTransport
internal import Tunnel

/// What tunnels report, in words for the user.
enum Describe {
  /// How a session is connected: `direct udp 192.0.2.7:4433`, `through the relay 192.0.2.9:3478`.
  static func path(_ path: SessionPath) -> String {
    path.carrier == .relay
      ? "through the relay \(path.remote)" : "direct \(name(path.carrier)) \(path.remote)"
  }

  /// Why it does not travel on a better carrier.
  static func obstacle(_ obstacle: PathObstacle) -> String {
    switch obstacle {
    case .noAnswer: "no answer over udp"
    case .resting(let time): "udp failed; it is tried again in \(Format.duration(time))"
    case .proving: "udp answers again and is about to be used"
    }
  }

  /// Why it moved.
  static func reason(_ reason: SwitchReason) -> String {
    switch reason {
    case .silence: "the old path fell silent"
    case .dataLoss: "the old path lost data"
    case .carrierClosed: "the old path was closed"
    case .better: "this path is better"
    case .nearer(let from, let to):
      "the peer is nearer by this relay: \(Format.roundTripTime(to)) there and back, "
        + "\(Format.roundTripTime(from)) by the former one"
    case .relayRestarts: "the relay of the old path is about to stop"
    case .peerMoved: "the peer moved"
    case .requested: "it was asked to move"
    }
  }

  static func name(_ carrier: CarrierKind) -> String {
    switch carrier {
    case .udp: "udp"
    case .tcp: "tcp"
    case .webSocket: "ws"
    case .relay: "relay"
    }
  }

  /// Why a proxy gave no connection and what to do.
  static func problem(_ error: ProxyError) -> (cause: String, fix: String) {
    switch error {
    case .unreachable(let code):
      (
        "the proxy cannot be connected to: \(Failure.systemMessage(code))",
        "check its host and port in --proxy or HTTPS_PROXY, or go without: --proxy none"
      )
    case .silent:
      ("the proxy does not answer", "check that it is an HTTP proxy, and that it lets CONNECT pass")
    case .closed:
      (
        "the proxy closed the connection instead of an answer",
        "check that it is an HTTP proxy, and that it allows CONNECT to this peer"
      )
    case .malformed:
      (
        "what answers at the proxy's address is no HTTP proxy",
        "check its host and port in --proxy or HTTPS_PROXY"
      )
    case .credentialsMissing:
      (
        "the proxy asks for a user and a password (407)",
        "write them into its URL: --proxy http://USER:PASSWORD@HOST:PORT"
      )
    case .credentialsRefused:
      (
        "the proxy does not accept the user and password (407)",
        "check them in --proxy or HTTPS_PROXY; special characters are written as percent codes"
      )
    case .refused(let status, let reason):
      (
        "the proxy does not connect to the peer: \(status) \(reason)",
        "ask for the ports that it allows; a share that listens with --listen 443 looks like HTTPS"
      )
    }
  }

  /// Why a flow failed and what to do; nil when it ended as its programs wanted.
  static func problem(_ ending: FlowReport.Ending) -> (cause: String, fix: String)? {
    switch ending {
    case .finished, .remoteReset, .localFailure: nil
    case .targetRefused:
      (
        "nothing listens at the shared service",
        "start the service on the sharing side, or share the port that it listens on"
      )
    case .targetUnreachable(let code):
      (
        "the shared service cannot be reached"
          + (code.map { ": \(Failure.systemMessage($0))" } ?? ""),
        "check the address after `qtun share` from the sharing side"
      )
    case .targetBusy:
      ("the other end of the pipe is taken", "start another `qtun pipe` there")
    case .targetNotAllowed:
      (
        "the sharing side does not allow this destination",
        "allow it there, as in `qtun share dynamic:example.com:443`; private addresses need a rule "
          + "for their network"
      )
    case .nameNotFound:
      (
        "the sharing side finds no address for this name",
        "check the name, as `getent hosts NAME` sees it on the sharing side"
      )
    case .sessionLost: ("the session ended first", "see why the session ended, above")
    case .rejected:
      ("the sharing side does not know this service", "use the same version of qtun on both sides")
    }
  }

  /// How a UDP flow ended.
  static func ending(_ ending: DatagramFlowReport.Ending) -> String {
    switch ending {
    case .idle: "idle"
    case .evicted: "too many flows"
    case .closed: "closed"
    }
  }

  /// How a flow ended that had no problem.
  static func ending(_ ending: FlowReport.Ending) -> String {
    switch ending {
    case .finished: "finished"
    case .remoteReset: "reset by the peer's program"
    case .localFailure(let code): "reset by the local program: \(Failure.systemMessage(code))"
    default: problem(ending)?.cause ?? ""
    }
  }
}

extension Failure {
  /// What a tunnel's error means for the run.
  init(_ error: TunnelError) {
    switch error {
    case .cannotBind(let address, let reason):
      self = .cannotBind(HostPort(address), errno: reason.code)
    case .cannotListen(let service, let reason):
      self = .cannotListen(service, errno: reason.code)
    case .unknownService(let name, let offered):
      let list = offered.map { $0.isEmpty ? "one without a name" : $0 }.joined(separator: ", ")
      let first = offered.first { !$0.isEmpty } ?? "NAME"
      self.init(
        .configuration,
        name.isEmpty
          ? "the share has several services and none without a name; it has \(list)"
          : "the share has no service \(name); it has \(list)",
        fix:
          "write one of these names, such as \(first)=8080 (`qtun to` takes -L 8080:\(first)), or "
          + "none to open all of them")
    case .notDynamic(let name):
      self.init(
        .configuration,
        "the service \(name.isEmpty ? "without a name" : name) takes no destinations of ours",
        fix: "name a service that is shared as in `qtun share dynamic:example.com:443`")
    case .noDynamicService:
      self.init(
        .configuration, "the share lets nobody choose destinations",
        fix: "ask for one, as in `qtun share dynamic:example.com:443`")
    case .wrongKind(let name, let isDatagram):
      let service = name.isEmpty ? "the service" : "the service \(name)"
      self.init(
        .configuration,
        isDatagram
          ? "\(service) speaks UDP, which does not go there"
          : "\(service) is none of UDP, so it cannot be opened at a UDP address",
        fix: isDatagram
          ? "open it at a UDP address with `qtun connect`, such as udp:127.0.0.1:5353"
          : "leave `udp:` out")
    case .remoteListenRefused(let address, let status):
      self.init(
        .refused,
        "the sharing side does not listen at \(address): \(Describe.refusal(status))",
        fix: Describe.fix(status, for: address))
    case .publicRefused(let address, let status): self.init(address, status)
    case .leaseFile(let path, let error): self.init(error, leases: path)
    case .certificate(let file, let error):
      self.init(
        .configuration, "the certificate \(file) cannot be used: \(error.description)",
        fix: "name a PEM file with the certificate and those between it and its authority, and its "
          + "key by --certificate-key")
    case .unreachable(let addresses) where addresses.isEmpty:
      self.init(
        .unreachable, "no path to the peer was found through the rendezvous",
        fix: "check that `qtun share` is still running there, that UDP may pass, and that the "
          + "ticket is its newest")
    case .unreachable(let addresses):
      let list = addresses.map(\.description).joined(separator: ", ")
      self.init(
        .unreachable, "no answer from the peer at \(list)",
        fix: "check that `qtun share` is still running there, that UDP or TCP may pass, and that "
          + "the ticket is its newest")
    case .relaysUnreachable(let addresses):
      let list = addresses.map(\.description).joined(separator: ", ")
      self.init(
        .unreachable, "no answer from the relay at \(list)",
        fix: "check that `qtun relay` runs there, and that UDP or TCP may pass")
    case .peerAbsent:
      self.init(
        .unreachable, "the sharing side is not at the relay",
        fix: "check that `qtun share` is still running there, and that the ticket is its newest")
    case .notDirect(let failure?):
      self.init(
        .notDirect, "there is no direct path to the peer: \(Describe.failure(failure))",
        fix: "\(Describe.advice(failure)). A relay can carry the session where both sides let it: "
          + "--path auto")
    case .notDirect(nil):
      self.init(
        .notDirect, "no direct path to the peer came about in time",
        fix: "wait longer with --wait-direct, or let a relay carry the session: --path auto")
    case .notRelayed(let refusal):
      self.init(
        .unreachable, "the relay does not take us: \(Describe.refusal(refusal))",
        fix: "try another relay with --rendezvous, or let the session go directly: --path auto")
    case .proxy(let error):
      let problem = Describe.problem(error)
      self.init(.unreachable, problem.cause, fix: problem.fix)
    case .refused(let reason):
      self.init(
        .refused, "the peer does not let us in: \(reason)",
        fix: "ask for a fresh ticket; a ticket is valid for the share that printed it")
    case .denied(let denial): self.init(denial)
    case .accessFile(let problem): self.init(problem)
    case .identityMismatch(let expected, let actual):
      self = .identityMismatch(
        expected: expected.description, presented: actual.description)
    case .incompatible(let reason):
      self.init(
        .refused, "the peer does not speak our protocol: \(reason)",
        fix: "run the same version of qtun on both sides; `qtun version` shows it")
    case .greetingBroken(let problem): self.init(problem)
    case .ended(let reason):
      self.init(
        .unreachable, "the peer ended the session: \(reason)",
        fix: "start `qtun share` again and connect with its ticket")
    case .lost(.statelessReset):
      self.init(
        .unreachable, "the session was lost: the sharing side was started again",
        fix: "connect again; without --retry never, qtun does so by itself")
    case .lost(let reason):
      self.init(
        .unreachable, "the session was lost: \(reason)",
        fix: "check the network between the two sides and connect again")
    case .configuration(let reason):
      self.init(.configuration, reason, fix: "check the files that the command line names")
    case .system(let reason):
      self.init(.internalError, reason.description, fix: "report this as a defect")
    }
  }

  /// The same, for a peer with this identity, which it has to tell if a list lacks it.
  init(_ error: TunnelError, identity: PublicKey) {
    let failure = Failure(error)
    guard case .denied(.identityNotAllowed) = error else {
      self = failure
      return
    }
    self.init(
      failure.exitCode, failure.cause, fix: failure.fix,
      details: [LogField(.identity, identity.description)])
  }

  /// A peer answered, is the one that the ticket names, and no session came of it.
  private init(_ problem: TunnelError.GreetingProblem) {
    let cause =
      switch problem {
      case .rulesBroken(let rule): "the peer answered, and broke the protocol: \(rule)"
      case .rulesBrokenByUs(let rule):
        "the peer answered, and says that we broke the protocol: \(rule)"
      case .notInTime: "the peer answered, and did not greet us in time"
      case .connectionLost(let reason):
        "the peer answered, and the connection ended before its greeting: \(reason)"
      }
    self.init(
      .refused, cause,
      fix: "run the same version of qtun on both sides, which `qtun version` shows, and start "
        + "`qtun share` again; if that does not help, report it as a defect")
  }

  private init(_ denial: TunnelError.Denial) {
    let again = "ask the sharing side for another one, which `qtun ticket make` prints there"
    switch denial {
    case .revoked:
      self.init(.refused, "the sharing side has taken this ticket back", fix: again)
    case .expired:
      self.init(.refused, "the ticket has expired", fix: again)
    case .usedUp:
      self.init(
        .refused, "the ticket was used by as many identities as it allows",
        fix: "\(again); if it was you, use the same key file again (--identity)")
    case .identityNotAllowed:
      self.init(
        .refused, "the share does not let our identity in",
        fix: "give it to the sharing side, for `qtun share --allow`")
    }
  }

  /// What is wrong with a ticket.
  init(_ error: TicketError) {
    let again = "copy the whole line that `qtun share` printed, once more"
    switch error {
    case .foreign:
      self.init(
        .configuration, "this is not a ticket: tickets begin with qtun1", fix: again)
    case .character(let character, let position):
      self.init(
        .configuration,
        "the ticket has a character that none has: \(character) at position \(position)",
        fix: again)
    case .truncated:
      self.init(.configuration, "the end of the ticket is missing", fix: again)
    case .mistyped:
      self.init(
        .configuration, "the ticket's checksum does not match: something in it was changed",
        fix: again)
    case .newer:
      self.init(
        .configuration, "the ticket was made by a newer version of qtun",
        fix: "install the newer version here; `qtun version` shows which one this is")
    }
  }

  /// What is wrong with a key file.
  init(_ error: IdentityFileError, path: String) {
    switch error {
    case .missing:
      self.init(
        .configuration, "there is no key file \(path)", fix: "make one: qtun keygen --out \(path)")
    case .exists:
      self.init(
        .configuration, "there is a key in \(path) already",
        fix: "choose another file with --out, or lose the old key with --force")
    case .exposed(let mode):
      let octal = "0" + String(mode, radix: 8)
      self.init(
        .configuration, "others can read the key file \(path) (mode \(octal))",
        fix: "chmod 600 \(path); if others may have read it, make a new key: "
          + "qtun keygen --force --out \(path)")
    case .malformed:
      self.init(
        .configuration, "\(path) holds no Ed25519 private key (PKCS #8 PEM)",
        fix: "name another file with --identity, or make one: qtun keygen --out FILE")
    case .unreadable(let code):
      self.init(
        .configuration, "cannot read the key file \(path): \(Failure.systemMessage(code))",
        fix: "check its owner and the permissions of the folders above it")
    case .unwritable(let code):
      self.init(
        .configuration, "cannot write the key file \(path): \(Failure.systemMessage(code))",
        fix: "choose another file with --identity or --out")
    }
  }
}

extension HostPort {
  /// The address as users write it.
  init(_ address: SocketAddress) {
    self.init(host: address.isIPv4 ? .ipv4(address.host) : .ipv6(address.host), port: address.port)
  }
}
