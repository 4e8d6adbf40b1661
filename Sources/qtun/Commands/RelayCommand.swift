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
    configuration = Relay.Configuration(
      identity: identity, listenAddress: listen, limits: RelayLimits())
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    let relay: Relay
    do throws(TunnelError) {
      relay = try await Relay.open(configuration, loop: run.loop) { [weak run] event in
        switch event {
        case .nodeConnected(let node, let address):
          run?.log.debug("node", .peer(node.description), .address(address.description))
        case .nodeGone(let node): run?.log.debug("node gone", .peer(node.description))
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
