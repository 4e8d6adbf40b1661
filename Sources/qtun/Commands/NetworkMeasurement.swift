internal import HolePunch
internal import QuicTransport

/// One measurement of the network, within `patience`: names are looked up, servers asked and the router
/// tried side by side. Bound to its loop.
final class NetworkMeasurement {
  private let settings: NetcheckSettings
  private let loop: EpollLoop
  private let log: Log
  private let main: UDPSocket
  private let spare: UDPSocket
  private let lookups: NameLookups
  private let interfaces: [SocketAddress]
  private var check: NetworkCheck?
  private var portMapping: PortMappingClient?
  private var servers: [NetworkFacts.Server] = []
  private var namesPending = 0
  private var told: [SocketAddress] = []
  private var timer: LoopTimer?
  private var completion: ((NetworkFacts) -> Void)?

  /// Opens the sockets; nothing is sent yet.
  init(_ settings: NetcheckSettings, loop: EpollLoop, log: Log) throws(RuntimeError) {
    self.settings = settings
    self.loop = loop
    self.log = log
    main = try UDPSocket(loop: loop, binding: .any, bufferBytes: Self.bufferBytes)
    spare = try UDPSocket(loop: loop, binding: .any, bufferBytes: Self.bufferBytes)
    lookups = NameLookups(loop: loop)
    interfaces = NetworkInterfaces.addresses().filter { !$0.isLoopback }
  }

  /// Begins; `completion` is called once, on the loop.
  func start(completion: @escaping (NetworkFacts) -> Void) {
    self.completion = completion
    check = NetworkCheck(
      main: main, spare: spare, interfaces: interfaces, loop: loop,
      random: SystemRandomNumberGenerator()
    ) { [weak self] in self?.update() }
    if settings.mapsPort {
      portMapping = PortMappingClient.start(port: main.localAddress.port, loop: loop) {
        [weak self] in self?.update()
      }
    }
    let timer = LoopTimer { [weak self] _ in self?.finish() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.patience)
    namesPending = settings.servers.count
    for server in settings.servers { lookUp(server) }
    // With nobody to ask, all is known already.
    if namesPending == 0, portMapping == nil { loop.schedule(timer, at: loop.now) }
  }

  /// Ends with what is known by now.
  func finish() {
    guard let completion, let timer else { return }
    self.completion = nil
    loop.cancel(timer)
    let facts = facts
    check?.stop()
    main.close()
    spare.close()
    guard let portMapping else { return completion(facts) }
    // The port goes back before the program ends.
    portMapping.stop { completion(facts) }
  }

  private func lookUp(_ server: HostPort) {
    lookups.start(server.host.text, count: Self.addressesMax) { [weak self] result in
      guard let self else { return }
      namesPending -= 1
      switch result {
      case .success(let addresses): ask(server, addresses.map { $0.with(port: server.port) })
      case .failure(let error):
        servers.append(NetworkFacts.Server(name: server, problem: error.reason))
        log.warning(
          "no such server", .address(server.description), .cause(error.reason),
          .fix("check the name, or give a numeric address"))
      }
      update()
    }
  }

  /// One address of each family, where there is a way to it.
  private func ask(_ name: HostPort, _ addresses: [SocketAddress]) {
    let chosen = [true, false].compactMap { isIPv4 in addresses.first { $0.isIPv4 == isIPv4 } }
    for address in chosen {
      var server = NetworkFacts.Server(name: name, address: address)
      if main.sourceAddress(towards: address).isUnspecified {
        server.problem = "no route"
      } else {
        check?.add(address)
      }
      servers.append(server)
    }
  }

  private func update() {
    guard completion != nil, let check else { return }
    // The first useful result is worth a line before all is known.
    for address in check.ipv4.reflexive + check.ipv6.reflexive where !told.contains(address) {
      told.append(address)
      log.info("seen from outside", .address(address.description))
    }
    guard namesPending == 0, check.isComplete, portMapping?.isSettled ?? true else { return }
    finish()
  }

  private var facts: NetworkFacts {
    var facts = NetworkFacts(interfaces: interfaces, gateway: DefaultGateway.ipv4())
    let sightings = (check?.ipv4.sightings ?? []) + (check?.ipv6.sightings ?? [])
    facts.servers = servers.map { server in
      var server = server
      let sighting = sightings.first { $0.server == server.address }
      server.mapped = sighting?.mapped
      server.roundTrip = sighting?.roundTrip
      if server.mapped == nil, server.problem == nil { server.problem = "no answer" }
      return server
    }
    for name in settings.servers where !servers.contains(where: { $0.name == name }) {
      facts.servers.append(
        NetworkFacts.Server(name: name, problem: "its name was not found in time"))
    }
    facts.ipv4 = check.map { NetworkFacts.Family($0.ipv4) } ?? facts.ipv4
    facts.ipv6 = check.map { NetworkFacts.Family($0.ipv6) } ?? facts.ipv6
    if let portMapping {
      facts.portMapping = portMapping.mapping.map { .mapped($0) } ?? .refused
    } else if settings.mapsPort {
      facts.portMapping = .noRouter
    }
    return facts
  }

  /// Everything that a user waits for ends by then.
  private static let patience = Duration.seconds(3)
  private static let bufferBytes = 1 << 16
  private static let addressesMax = 8
}
