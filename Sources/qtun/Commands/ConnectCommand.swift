internal import QuicTransport
internal import Tunnel

/// `qtun connect`: opens shared services on local addresses until it is told to stop.
struct ConnectCommand: Sendable {
  private let configuration: Link.Configuration
  /// The forwards of `qtun to`, which it opens by other words; nil for services.
  private let plan: ForwardPlan?

  /// Reads the ticket and the identity, before anything is started.
  init(settings: ConnectSettings, global: GlobalSettings, console: Console) throws(Failure) {
    let ticket = try Self.readTicket(settings.ticket)
    let identity = try settings.session.loadIdentity(console: console, global: global)
    var choices: [Opening.Choice] = []
    for listener in settings.listeners { choices.append(try listener.choice()) }
    var configuration = try Link.Configuration(
      identity: identity, ticket: ticket, opening: choices.isEmpty ? .everything : .chosen(choices),
      session: settings.session.tunnel, dialling: settings.dialling, retry: settings.retry.policy)
    if let cycle = settings.cycle { configuration.carriers = .cycling(every: cycle) }
    configuration.proxyCredentials = try settings.proxyAuthFile.map(Self.readCredentials)
    for server in settings.stun { configuration.stunServers += try server.resolve() }
    self.configuration = configuration
    plan = nil
  }

  /// For `qtun to`.
  init(configuration: Link.Configuration, plan: ForwardPlan) {
    self.configuration = configuration
    self.plan = plan
  }

  /// Reads `USER:PASSWORD` from the first line of a file.
  static func readCredentials(_ path: String) throws(Failure) -> ProxyCredentials {
    let line: String
    do throws(SecretLineError) {
      line = try SecretLine.read(path: path)
    } catch {
      throw Failure(error, path: path)
    }
    guard let credentials = ProxyCredentials(line) else {
      throw Failure(
        .configuration, "the first line of \(path) is not USER:PASSWORD",
        fix: "write both with a colon between, 255 bytes each at most")
    }
    return credentials
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    guard let link = try await run.openLink(configuration, onEvent: { _ in }) else {
      try await run.summarize(TunnelTotals())
      return .ok
    }
    let services = await link.services
    for service in services { warnIfOpenProxy(service, run) }
    if let plan {
      try plan.announce(services, await link.remoteAddresses, run.settings)
    } else {
      try announce(services, run)
    }
    let identity = configuration.identity.publicKey
    await run.offerStatus {
      await link.report
    } header: { json in
      StatusJSON.writeHeader(role: "connect", identity: identity, opened: services, to: &json)
    }
    await run.showStatus { await link.statistics }
    Task(executorPreference: run.loop) { run.note(.over(await link.end)) }
    var lost: TunnelError?
    switch await run.nextWakeup() {
    case .signal(let signal):
      run.log.info("stopping", .signal(signal), .cause("open flows may finish"))
      await link.drain(within: LoopRun.drainGrace)
    case .over(let error): lost = error
    case .dialled, .flowEnded: break
    }
    let totals = await link.statistics
    await link.close()
    try await run.summarize(totals)
    if let lost { throw Failure(lost, identity: configuration.identity.publicKey) }
    let allRefused = totals.flows > 0 && totals.flowsRefused == totals.flows
    return allRefused ? .targetRefused : .ok
  }

  private func announce(_ services: [OpenedService], _ run: LoopRun) throws(Failure) {
    for service in services {
      let address = service.address.description
      if services.count > 1 || !service.name.isEmpty {
        run.log.info(
          "listening", .service(service.name.isEmpty ? "-" : service.name), .address(address))
      } else {
        run.log.info("listening", .address(address))
      }
      guard run.settings.isJSON else {
        try StandardOutput.writeLine(Self.line(service, of: services.count))
        continue
      }
      var writer = JSONWriter()
      writer.object { result in
        result.member("event", "listening")
        result.member("service", service.name)
        result.member("protocol", service.address.protocolName)
        result.member("address", address)
        result.member("proxy", service.isProxy)
      }
      try StandardOutput.writeLine(writer.text)
    }
  }

  private func warnIfOpenProxy(_ service: OpenedService, _ run: LoopRun) {
    guard service.isProxy, configuration.proxyCredentials == nil,
      case .tcp(let address) = service.address, !address.isLoopback
    else { return }
    run.log.warning(
      "proxy without a password", .address(address.description),
      .cause("everybody who reaches this address may use it"),
      .fix("ask for a password with --proxy-auth FILE, or listen on 127.0.0.1"))
  }

  /// What standard output says of one of so many services. The sharing side chose the name: it may
  /// hold anything.
  static func line(_ service: OpenedService, of count: Int) -> String {
    // `-` is no name, and keeps the columns for awk(1) and the like.
    let name = service.name.isEmpty ? "-" : service.name
    let address = service.address.description
    return TerminalText.escaped(count > 1 ? "\(name) \(address)" : address)
  }

  /// Takes the ticket from where the command line says.
  static func readTicket(_ source: TicketSource) throws(Failure) -> Ticket {
    let text: String
    switch source {
    case .argument(let word):
      text = word
      // A ticket is as secret as a password.
      ProcessArguments.hide(word)
    case .environment(let word): text = word
    case .standardInput: text = try TicketInput.readLine()
    case .saved(let name, let folder): return try PeerBook(folder: folder).ticket(named: name)
    }
    do throws(TicketError) {
      return try Ticket(text)
    } catch {
      throw Failure(error)
    }
  }
}

extension LocalAddress {
  /// What programs speak to it, for machines.
  fileprivate var protocolName: String {
    switch self {
    case .tcp: "tcp"
    case .udp: "udp"
    case .unix: "unix"
    }
  }
}
