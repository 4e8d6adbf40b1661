internal import QuicTransport

/// Asks the gateway to forward a UDP port to us, by UPnP's Internet Gateway Device: the way of
/// routers that know neither PCP nor NAT-PMP. Sans I/O.
///
///     searching -> describing -> asking the address -> mapping -> mapped -> (half of the lease) mapping
///         any failure -> over
///
/// Whatever does not come from the gateway's own address is ignored.
struct UPnPMapper {
  /// The outside address, while there is one.
  private(set) var mapping: PortMapper.Mapping?
  /// When to call `handleTimeout`; nil while an exchange is awaited, and when all is over.
  private(set) var timeout: Instant?

  private let gateway: SocketAddress
  private let client: SocketAddress
  private var state = State.searching
  private var searches = 0
  private var services: [UPnPMessage.Service] = []
  private var outsideHost: SocketAddress?
  private var outsidePort: UInt16
  private var conflicts = 0
  /// Seconds; 0 for gateways that know nothing but mappings without an end.
  private var lease = Self.leaseWanted
  private var random: any RandomNumberGenerator
  private var effects: [Effect] = []

  private enum State {
    case searching
    case describing(UPnPMessage.Location)
    case askingAddress
    case mapping
    case mapped
    case over
  }

  /// What the mapper wants done, and what it has to say.
  enum Effect: Equatable {
    case send([UInt8], to: SocketAddress)
    /// Open a TCP connection, send this, and hand the response to `received`; one at a time.
    case exchange([UInt8], with: SocketAddress)
    case mapped(PortMapper.Mapping)
    case lost
    case unavailable
  }

  /// - Parameters:
  ///   - gateway: the default route's next hop.
  ///   - client: our address towards it, with the port of the socket that shall be reached.
  init(
    gateway: SocketAddress, client: SocketAddress, random: any RandomNumberGenerator, now: Instant
  ) {
    self.gateway = gateway
    self.client = client
    self.random = random
    outsidePort = client.port
    timeout = now
  }

  private static let leaseWanted: UInt32 = 7_200
  /// A gateway may take its time, up to the second that MX grants.
  private static let searchesMax = 2
  private static let searchDelay = Duration.milliseconds(600)
  /// Ports are taken by neighbours, which is told one by one.
  private static let conflictsMax = 4
  /// A mapping without an end is confirmed as often as one that lasts two hours.
  private static let renewal = Duration.seconds(Int(leaseWanted) / 2)
}

// MARK: - Inputs and outputs

extension UPnPMapper {
  /// The next thing to do, or nil.
  mutating func nextEffect() -> Effect? { effects.isEmpty ? nil : effects.removeFirst() }

  /// Searches again, gives up, renews.
  mutating func handleTimeout(now: Instant) {
    guard let due = timeout, due <= now else { return }
    switch state {
    case .searching:
      guard searches < Self.searchesMax else { return giveUp() }
      searches += 1
      timeout = now + Self.searchDelay
      for target in [UPnPMessage.searchGroup, gateway.with(port: UPnPMessage.searchPort)] {
        effects.append(.send(UPnPMessage.search, to: target))
      }
    case .mapped: map()
    case .describing, .askingAddress, .mapping, .over: timeout = nil
    }
  }

  /// Takes a datagram that may answer the search.
  mutating func receive(_ datagram: [UInt8], from source: SocketAddress, now: Instant) {
    guard case .searching = state, source.hasSameHost(as: gateway), searches > 0,
      let place = UPnPMessage.location(datagram, gateway: gateway)
    else { return }
    state = .describing(place)
    exchange(UPnPMessage.get(place), with: place.server)
  }

  /// Takes the outcome of the exchange that was asked for; nil if it failed.
  mutating func received(_ response: HTTPResponse?, now: Instant) {
    switch state {
    case .describing(let place):
      guard let response, response.status == 200 else { return giveUp() }
      services = UPnPMessage.services(response.body, at: place)
      askAddress()
    case .askingAddress:
      let text = response.flatMap {
        $0.status == 200 ? XMLScanner.text(of: "NewExternalIPAddress", in: $0.body) : nil
      }
      guard let text, let address = SocketAddress(text, port: 1), address.isUsable else {
        // A way out that is not in use; the next one may be.
        if !services.isEmpty { services.removeFirst() }
        return askAddress()
      }
      outsideHost = address
      map()
    case .mapping: judge(response, now: now)
    case .searching, .mapped, .over: break
    }
  }

  /// Gives the port back; the last exchange.
  mutating func remove() {
    let wasMapped = mapping != nil
    let service = services.first
    state = .over
    timeout = nil
    mapping = nil
    guard wasMapped, let service else { return }
    let bytes = UPnPMessage.call(
      "DeletePortMapping",
      [("NewRemoteHost", ""), ("NewExternalPort", "\(outsidePort)"), ("NewProtocol", "UDP")],
      of: service)
    effects.append(.exchange(bytes, with: service.control.server))
    effects.append(.lost)
  }
}

// MARK: - States

extension UPnPMapper {
  private mutating func exchange(_ bytes: [UInt8], with server: SocketAddress) {
    timeout = nil
    effects.append(.exchange(bytes, with: server))
  }

  private mutating func askAddress() {
    guard let service = services.first else { return giveUp() }
    state = .askingAddress
    exchange(
      UPnPMessage.call("GetExternalIPAddress", [], of: service), with: service.control.server)
  }

  private mutating func map() {
    guard let service = services.first else { return giveUp() }
    state = .mapping
    let bytes = UPnPMessage.call(
      "AddPortMapping",
      [
        ("NewRemoteHost", ""), ("NewExternalPort", "\(outsidePort)"), ("NewProtocol", "UDP"),
        ("NewInternalPort", "\(client.port)"), ("NewInternalClient", client.host),
        ("NewEnabled", "1"), ("NewPortMappingDescription", "qtun"),
        ("NewLeaseDuration", "\(lease)"),
      ], of: service)
    exchange(bytes, with: service.control.server)
  }

  private mutating func judge(_ response: HTTPResponse?, now: Instant) {
    if response?.status == 200, let outsideHost { return accept(outsideHost, now: now) }
    let code = response.flatMap { XMLScanner.text(of: "errorCode", in: $0.body) }
    switch code {
    case "725" where lease != 0:  // OnlyPermanentLeasesSupported
      lease = 0
      map()
    case "718" where conflicts < Self.conflictsMax && mapping == nil:  // ConflictInMappingEntry
      conflicts += 1
      outsidePort = UInt16.random(in: 1_024...65_535, using: &random)
      map()
    default: giveUp()
    }
  }

  private mutating func accept(_ host: SocketAddress, now: Instant) {
    let outside = host.with(port: outsidePort)
    let isNew = mapping?.outside != outside
    let new = PortMapper.Mapping(outside: outside, by: .upnp, expires: now + Self.renewal * 2)
    mapping = new
    state = .mapped
    timeout = now + Self.renewal
    if isNew { effects.append(.mapped(new)) }
  }

  private mutating func giveUp() {
    if mapping != nil { effects.append(.lost) }
    mapping = nil
    state = .over
    timeout = nil
    effects.append(.unavailable)
  }
}
