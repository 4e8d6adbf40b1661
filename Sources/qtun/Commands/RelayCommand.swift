internal import HolePunch
internal import QuicTransport
internal import Tunnel

/// `qtun relay`: introduces nodes to each other until it is told to stop.
struct RelayCommand: Sendable {
  /// As the command line has them, without the file of --config.
  private let written: RelaySettings
  private let settings: RelaySettings
  private let configuration: Relay.Configuration

  /// Reads the identity and the files, before anything is started.
  init(settings written: RelaySettings, global: GlobalSettings, console: Console) throws(Failure) {
    self.written = written
    settings = try RelayConfigFile.settings(written)
    let identity = try SessionSettings(identityFile: settings.identityFile)
      .loadIdentity(console: console, global: global)
    let listen = try settings.listen?.localAddress() ?? .any.with(port: Relay.defaultPort)
    var configuration = Relay.Configuration(
      identity: identity, listenAddress: listen, access: try settings.access(),
      limits: settings.limits,
      cores: settings.cores ?? min(Processors.available, RelaySettings.coresDefaultMax))
    configuration.listening = try settings.publicSettings(identity: identity.publicKey)
    self.configuration = configuration
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    let relay: Relay
    do throws(TunnelError) {
      relay = try await Relay.open(configuration, loop: run.loop) { [weak run] event in
        run?.report(event)
      }
    } catch {
      throw Failure(error)
    }
    try await openAdmin(of: relay, run)
    try announce(relay, run)
    var current = settings
    waiting: while true {
      guard case .signal(let signal) = await run.nextWakeup() else { continue }
      switch signal {
      case .hangup: current = await reload(current, relay, run)
      case .interrupt, .terminate:
        run.log.info("stopping", .signal(signal), .cause("nodes are told"))
        break waiting
      }
    }
    await relay.drain(within: current.drain)
    let totals = await relay.totals
    await relay.close()
    try summarize(totals, run)
    return .ok
  }

  // MARK: Reload

  /// Takes what has changed in the file, all or nothing.
  private func reload(
    _ current: RelaySettings, _ relay: Relay, _ run: LoopRun
  ) async -> RelaySettings {
    guard written.config != nil else {
      run.log.info(
        "nothing to reload", .cause("there is no --config"),
        .fix("tokens and lists are read again by themselves"))
      return current
    }
    do throws(Failure) {
      let next = try RelayConfigFile.settings(written)
      let changes = try current.changes(to: next)
      let access = try next.access()
      let listening = try next.publicSettings(identity: configuration.identity.publicKey)
      let admin: Relay.AdminChange =
        next.admin == current.admin ? .none : .to(try next.admin?.localAddress())
      do throws(TunnelError) {
        try await relay.apply(
          access: access, limits: next.limits, listening: listening, admin: admin)
      } catch {
        throw Failure(error)
      }
      for change in changes { run.log.info("changed", .change(change)) }
      run.log.info("reloaded", .count(Int64(changes.count)))
      return next
    } catch {
      run.log.warning(
        "not reloaded, nothing is changed", .cause(error.cause), .fix(error.fix))
      return current
    }
  }

  private func openAdmin(of relay: Relay, _ run: LoopRun) async throws(Failure) {
    guard let admin = try settings.admin?.localAddress() else { return }
    do throws(TunnelError) {
      try await relay.serveAdmin(at: admin)
    } catch {
      await relay.close()
      throw Failure(error)
    }
    guard let address = await relay.adminAddress else { return }
    if !address.isLoopback {
      run.log.warning(
        "the admin address is not on loopback", .address(address.description),
        .cause("whoever reaches it reads the metrics"))
    }
    run.log.info("metrics", .address("http://\(address)/metrics"))
  }

  // MARK: Telling

  private func announce(_ relay: Relay, _ run: LoopRun) throws(Failure) {
    let name = RendezvousName(key: relay.identity, address: publicAddress(of: relay))
    run.log.info(
      "relaying", .address(relay.localAddress.description),
      .identity(relay.identity.description), .cause(settings.audience))
    if let refusal = relay.coresRefusal {
      run.log.warning(
        "forwarding on one core", .cause("the kernel refuses more: \(refusal)"),
        .fix("nothing is lost but speed; --cores 1 says so without this line"))
    } else if relay.cores > 1 {
      run.log.info("forwarding on several cores", .count(Int64(relay.cores)))
    }
    for (kind, address) in relay.doors.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      run.log.info("serving names", .cause(kind.rawValue), .address(address.description))
    }
    if let address = relay.http3Address {
      run.log.info("serving names", .cause("h3"), .address("udp:\(address)"))
    }
    if run.settings.logFormat == .text, !run.settings.isQuiet {
      let token = settings.isOpen ? "" : " --token-file FILE"
      run.console.printLine(
        "on the sharing machine run:\n\n  qtun share 3000 --rendezvous \(name)\(token)\n")
    }
    guard run.settings.isJSON else { return try StandardOutput.writeLine(name.description) }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "relay")
      result.member("rendezvous", name.description)
      result.member("identity", relay.identity.description)
      result.member("address", relay.localAddress.description)
      result.member("cores", Int64(relay.cores))
      result.member("http", relay.doors[.http]?.description)
      result.member("tls", relay.doors[.tls]?.description)
      result.member("http3", relay.http3Address?.description)
      result.member(
        "stun_ports", relay.stunPorts.map { String($0) }.joined(separator: " "))
    }
    try StandardOutput.writeLine(writer.text)
  }

  /// What the user says, or the address that reaches farthest.
  private func publicAddress(of relay: Relay) -> HostPort {
    let local = relay.localAddress
    if let name = settings.name {
      return name.port == 0 ? HostPort(host: name.host, port: local.port) : name
    }
    let candidates = HostCandidates.gather(
      addresses: NetworkInterfaces.addresses(), socket: local, hasIPv6: !local.isIPv4, count: 1)
    return HostPort(candidates.first?.address ?? local)
  }

  private func summarize(_ totals: RelayTotals, _ run: LoopRun) throws(Failure) {
    let refused = totals.refusals.values.reduce(0, +)
    if run.settings.isJSON {
      var writer = JSONWriter()
      writer.object { result in
        result.member("event", "summary")
        result.member("nodes", Int64(totals.nodes))
        result.member("introductions", Int64(totals.introductions))
        result.member("bytes_forwarded", totals.forwarding.bytes)
        result.member("refused", refused)
      }
      try StandardOutput.writeLine(writer.text)
    }
    if !run.settings.isQuiet, run.settings.logFormat == .text {
      run.console.printLine(
        "\(totals.nodes) nodes, \(totals.introductions) introductions, "
          + "\(Format.bytes(totals.forwarding.bytes)) forwarded, \(refused) refused")
    }
  }
}

extension LoopRun {
  /// What happens at a relay, in the log.
  nonisolated func report(_ event: RelayEvent) {
    switch event {
    case .nodeConnected(let node, let address):
      log.debug("node", .peer(node.description), .address(address.description))
    case .nodeAdmitted(let node, let token):
      log.debug("node with a token", .peer(node.description), .token(token.description))
    case .nodeGone(let node): log.debug("node gone", .peer(node.description))
    case .nodeDismissed(let node, let address, let denial):
      log.warning(
        "node refused", .peer(node.description), .address(address.description),
        .cause(Describe.refusal(denial)))
    case .accessFileUnusable(let problem):
      let failure = Failure(problem)
      log.warning("access file cannot be used", .cause(failure.cause), .fix(failure.fix))
    case .listening(let node, let place):
      log.info("listening for a node", .address(place), .peer(node.description))
    case .listenRefused(let node, let status):
      log.warning(
        "not listening for a node", .peer(node.description), .cause(Describe.relayRefusal(status)))
    case .memberHealth(let node, let place, let isUp, let able, let all):
      reportMember(node.description, place, isUp: isUp, able: able, of: all)
    case .leasesUnwritable(let problem): reportLeases(problem)
    case .certificateRenewed(let file): log.info("certificate read again", .file(file))
    case .certificateUnusable(let file, let reason):
      log.warning(
        "certificate cannot be used", .file(file), .cause(reason),
        .fix("visitors see the one from before; put a certificate and its key there"))
    case .http3Unavailable(let address, let error):
      let failure = Failure.cannotBind(HostPort(address), errno: error.code)
      log.warning("HTTP/3 is not served", .cause(failure.cause), .fix(failure.fix))
    }
  }
}

extension Describe {
  /// Why the relay sends a node away, in the words of its operator.
  static func refusal(_ denial: RelayDenial) -> String {
    switch denial {
    case .other: "not allowed"
    case .tokenNeeded: "no token was shown"
    case .tokenWrong: "wrong token"
    case .tokenExpired: "the token has expired"
    case .tokenRevoked: "the token was revoked"
    case .identityNotAllowed: "not on the list"
    case .undecidable: "who may come in cannot be looked up"
    case .notInScope: "the token is for other things"
    case .restarting: "stopping"
    }
  }
}

extension RelaySettings {
  /// Where it listens for others, for the library; nil where nothing is offered.
  func publicSettings(identity: PublicKey) throws(Failure) -> PublicSettings? {
    guard listening.isOffered else { return nil }
    guard let names = try? NameRules(listening.names.flatMap(\.patterns)) else {
      preconditionFailure("patterns that were read once")
    }
    return PublicSettings(
      ports: listening.ports, http: try listening.http?.localAddress(),
      tls: try listening.tls?.localAddress(), certificate: listening.certificate, names: names,
      host: name?.host.text ?? "",
      leaseFile: listening.stateFolder.map { "\($0)/leases-\(identity)" }
        ?? identityFile + ".leases")
  }
}

extension LoopRun {
  nonisolated func reportLeases(_ problem: AccessFileError?) {
    guard let problem else { return log.info("leases are written again") }
    log.warning(
      "leases cannot be written", .cause(Failure(problem, leases: "the state folder").cause),
      .fix("make room there; until then, a restart forgets who has which port"))
  }
}

extension Describe {
  /// The same as `refusal`, as the relay's operator sees it.
  static func relayRefusal(_ status: PublicStatus) -> String {
    switch status {
    case .notAllowed: "its token is not for that"
    case .heldByAnother: "another key holds what it asked for"
    case .outsideRange: "it asked for a port outside of --ports, or of its token"
    case .notOffered: "it asked for a kind that is not served"
    case .noneFree: "no port is free"
    case .tooMany: "a limit is reached"
    case .portInUse: "another program has the port"
    case .nameNotAllowed: "it asked for a name outside of --names, or of its token"
    case .listening, .unknownKind, .replaced, .released, .other: refusal(status)
    }
  }
}
