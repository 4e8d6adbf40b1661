internal import HolePunch
internal import QuicTransport
internal import Tunnel

/// `qtun relay`: introduces nodes to each other until it is told to stop.
struct RelayCommand: Sendable {
  private let settings: RelaySettings
  private let configuration: Relay.Configuration

  /// Reads the identity, before anything is started.
  init(settings: RelaySettings, global: GlobalSettings, console: Console) throws(Failure) {
    self.settings = settings
    let identity = try SessionSettings(identityFile: settings.identityFile)
      .loadIdentity(console: console, global: global)
    let listen = try settings.listen?.localAddress() ?? .any.with(port: Relay.defaultPort)
    var configuration = Relay.Configuration(
      identity: identity, listenAddress: listen, limits: RelayLimits())
    configuration.listening = try settings.listening.resolve(
      identity: identity.publicKey, name: settings.name)
    self.configuration = configuration
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    let relay: Relay
    do throws(TunnelError) {
      relay = try await Relay.open(configuration, loop: run.loop) { [weak run] event in
        switch event {
        case .nodeConnected(let node, let address):
          run?.log.debug("node", .peer(node.description), .address(address.description))
        case .nodeGone(let node): run?.log.debug("node gone", .peer(node.description))
        case .listening(let node, let place):
          run?.log.info("listening for a node", .address(place), .peer(node.description))
        case .listenRefused(let node, let status):
          run?.log.warning(
            "not listening for a node", .peer(node.description),
            .cause(Describe.relayRefusal(status)))
        case .accessFileUnusable(let problem):
          let failure = Failure(problem)
          run?.log.warning(
            "access file cannot be used", .cause(failure.cause), .fix(failure.fix))
        case .leasesUnwritable(let problem): run?.reportLeases(problem)
        case .certificateRenewed(let file): run?.log.info("certificate read again", .file(file))
        case .certificateUnusable(let file, let reason):
          run?.log.warning(
            "certificate cannot be used", .file(file), .cause(reason),
            .fix("visitors see the one from before; put a certificate and its key there"))
        }
      }
    } catch {
      throw Failure(error)
    }
    try announce(relay, run)
    if case .signal(let signal) = await run.nextWakeup() {
      run.log.info("stopping", .signal(signal))
    }
    let totals = await relay.totals
    await relay.close()
    try summarize(totals, run)
    return .ok
  }

  private func announce(_ relay: Relay, _ run: LoopRun) throws(Failure) {
    let name = RendezvousName(key: relay.identity, address: publicAddress(of: relay))
    run.log.info(
      "relaying", .address(relay.localAddress.description),
      .identity(relay.identity.description))
    for (kind, address) in relay.doors.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      run.log.info("serving names", .cause(kind.rawValue), .address(address.description))
    }
    if run.settings.logFormat == .text, !run.settings.isQuiet {
      run.console.printLine(
        "on the sharing machine run:\n\n  qtun share 3000 --rendezvous \(name)\n")
    }
    guard run.settings.isJSON else { return try StandardOutput.writeLine(name.description) }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "relay")
      result.member("rendezvous", name.description)
      result.member("identity", relay.identity.description)
      result.member("address", relay.localAddress.description)
      result.member("http", relay.doors[.http]?.description)
      result.member("tls", relay.doors[.tls]?.description)
      result.member(
        "stun_ports", relay.stunPorts.map { String($0) }.joined(separator: " "))
    }
    try StandardOutput.writeLine(writer.text)
  }

  /// What the user says, or the address that reaches farthest.
  private func publicAddress(of relay: Relay) -> HostPort {
    if let name = settings.name { return name }
    let local = relay.localAddress
    let candidates = HostCandidates.gather(
      addresses: NetworkInterfaces.addresses(), socket: local, hasIPv6: !local.isIPv4, count: 1)
    return HostPort(candidates.first?.address ?? local)
  }

  private func summarize(_ totals: RelayTotals, _ run: LoopRun) throws(Failure) {
    if run.settings.isJSON {
      var writer = JSONWriter()
      writer.object { result in
        result.member("event", "summary")
        result.member("nodes", Int64(totals.nodes))
        result.member("introductions", Int64(totals.introductions))
      }
      try StandardOutput.writeLine(writer.text)
    }
    if !run.settings.isQuiet, run.settings.logFormat == .text {
      run.console.printLine("\(totals.nodes) nodes, \(totals.introductions) introductions")
    }
  }
}

extension PublicRelaySettings {
  /// The same for the library; nil where nothing is offered.
  func resolve(identity: PublicKey, name: HostPort?) throws(Failure) -> PublicSettings? {
    guard isOffered else { return nil }
    var patterns: [String] = []
    for rules in names { patterns += rules.patterns }
    guard let rules = try? NameRules(patterns) else {
      preconditionFailure("patterns that were read once")
    }
    return PublicSettings(
      ports: ports.map { $0.first...$0.first + UInt16($0.count - 1) },
      http: try http?.localAddress(), tls: try tls?.localAddress(),
      certificate: certificate, names: rules, isOpen: isOpen,
      allowed: try .init(allowed), host: name?.host.text ?? "",
      leaseFile: stateFolder.map { "\($0)/leases-\(identity)" })
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
    case .notAllowed: "it is not in --allow"
    case .heldByAnother: "another key holds what it asked for"
    case .outsideRange: "it asked for a port outside of --ports"
    case .notOffered: "it asked for a kind that is not served"
    case .noneFree: "no port is free"
    case .tooMany: "a limit is reached"
    case .portInUse: "another program has the port"
    case .nameNotAllowed: "it asked for a name outside of --names"
    case .listening, .unknownKind, .replaced, .released, .other: refusal(status)
    }
  }
}
