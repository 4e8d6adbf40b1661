public import QuicTransport

/// Asks the gateway to forward a UDP port to us, by PCP (RFC 6887) or else NAT-PMP (RFC 6886),
/// keeps that alive, and gives it back in the end. Sans I/O.
///
///     asking -> mapped -> (half of the lifetime) asking again
///        |         \-> remove -> removed
///        +-> resting, if nobody answers -> asking after ten minutes
public struct PortMapper {
  /// The outside address, while there is one.
  public private(set) var mapping: Mapping?
  /// When to call `handleTimeout`; nil when there is nothing to do any more.
  public private(set) var timeout: Instant?

  private let gateway: SocketAddress
  private let client: SocketAddress
  private let nonce: TransactionID
  private var speaks = NATReport.PortMappingProtocol.pcp
  private var attempts = 0
  /// NAT-PMP tells address and port in two messages.
  private var outsideHost: UInt32?
  private var effects: [Effect] = []

  /// A port of the gateway that leads to us.
  public struct Mapping: Equatable, Sendable {
    /// What peers may send to; to be offered as a candidate of kind `mapped`.
    public var outside: SocketAddress
    /// How it was had.
    public var by: NATReport.PortMappingProtocol
    /// When the gateway forgets it.
    public var expires: Instant

    /// A mapping by its parts.
    public init(outside: SocketAddress, by: NATReport.PortMappingProtocol, expires: Instant) {
      self.outside = outside
      self.by = by
      self.expires = expires
    }
  }

  /// What the mapper wants done, and what it has to say.
  public enum Effect: Equatable, Sendable {
    /// Send this to the gateway's port 5351.
    case send([UInt8], to: SocketAddress)
    /// A mapping is there, or has another address.
    case mapped(Mapping)
    /// The mapping is gone.
    case lost
    /// The gateway does not do this; asked again in ten minutes.
    case unavailable
  }

  /// What a response says.
  enum Response: Equatable {
    case mapped(SocketAddress, lifetime: UInt32)
    case unsupportedVersion
    case refused
  }

  /// - Parameters:
  ///   - gateway: the default route's next hop.
  ///   - client: our address towards it, with the port of the socket that shall be reached.
  ///   - random: fit for keys: who knows the nonce can take the mapping away.
  public init(
    gateway: SocketAddress, client: SocketAddress, now: Instant,
    using random: inout some RandomNumberGenerator
  ) {
    self.gateway = gateway.with(port: Self.port)
    self.client = client
    nonce = TransactionID(using: &random)
    timeout = now
  }

  /// RFC 6887 §19
  static let port: UInt16 = 5_351
  /// What we ask for: a lost "give back" costs the gateway two hours.
  static let lifetime: UInt32 = 7_200
  /// A gateway is one hop away; 3 x 250 ms are enough, and nobody waits for it anyway.
  static let attemptsMax = 3
  static let attemptDelay = Duration.milliseconds(250)
  static let rest = Duration.seconds(600)
  /// Shorter lifetimes would make us ask all the time.
  static let lifetimeMin: UInt32 = 20
}

// MARK: - Inputs and outputs

extension PortMapper {
  /// The next thing to do, or nil.
  public mutating func nextEffect() -> Effect? { effects.isEmpty ? nil : effects.removeFirst() }

  /// Asks, asks again, tries the older protocol, rests.
  public mutating func handleTimeout(now: Instant) {
    guard let due = timeout, due <= now else { return }
    if let mapping, mapping.expires <= now {
      self.mapping = nil
      effects.append(.lost)
    }
    guard attempts < Self.attemptsMax else {
      giveUp(now: now)
      return
    }
    ask(now: now)
  }

  /// Takes a datagram from the gateway; anybody else's is ignored.
  public mutating func receive(_ bytes: [UInt8], from source: SocketAddress, now: Instant) {
    guard source == gateway, timeout != nil, attempts > 0 else { return }
    switch speaks {
    case .pcp:
      switch PCPMessage.response(bytes, client: client, nonce: nonce) {
      case .mapped(let outside, let lifetime): accept(outside, lifetime: lifetime, now: now)
      case .unsupportedVersion: speakNATPMP(now: now)
      case .refused: rest(now: now)
      case nil: break
      }
    case .natPMP, .upnp:
      switch NATPMPMessage.response(bytes, port: client.port) {
      case .address(let host): outsideHost = host
      case .mapped(let port, let lifetime):
        guard let outsideHost else { return }
        accept(SocketAddress(ipv4: outsideHost, port: port), lifetime: lifetime, now: now)
      case .refused: rest(now: now)
      case nil: break
      }
    }
  }

  /// Gives the port back; nothing is awaited, since we leave.
  public mutating func remove() {
    timeout = nil
    guard mapping != nil else { return }
    mapping = nil
    let bytes =
      speaks == .pcp
      ? PCPMessage.request(client: client, nonce: nonce, lifetime: 0, suggested: nil)
      : NATPMPMessage.mapRequest(port: client.port, lifetime: 0)
    effects.append(.send(bytes, to: gateway))
    effects.append(.lost)
  }
}

// MARK: - States

extension PortMapper {
  private mutating func ask(now: Instant) {
    attempts += 1
    timeout = now + Self.attemptDelay
    guard speaks == .natPMP else {
      let bytes = PCPMessage.request(
        client: client, nonce: nonce, lifetime: Self.lifetime, suggested: mapping?.outside)
      effects.append(.send(bytes, to: gateway))
      return
    }
    effects.append(.send(NATPMPMessage.addressRequest, to: gateway))
    let bytes = NATPMPMessage.mapRequest(port: client.port, lifetime: Self.lifetime)
    effects.append(.send(bytes, to: gateway))
  }

  private mutating func speakNATPMP(now: Instant) {
    // It knows IPv4 only.
    guard client.isIPv4 else { return rest(now: now) }
    speaks = .natPMP
    attempts = 0
    ask(now: now)
  }

  private mutating func accept(_ outside: SocketAddress, lifetime: UInt32, now: Instant) {
    guard outside.isUsable, lifetime >= Self.lifetimeMin else { return rest(now: now) }
    // RFC 6887 §15: a gateway may grant more than was asked for; we forget after what we asked.
    let granted = Duration.seconds(Int(min(lifetime, Self.lifetime)))
    let isNew = mapping?.outside != outside
    let new = Mapping(outside: outside, by: speaks, expires: now + granted)
    mapping = new
    attempts = 0
    timeout = now + granted / 2
    if isNew { effects.append(.mapped(new)) }
  }

  private mutating func giveUp(now: Instant) {
    if let mapping {
      // Not renewed: half of what is left is spent waiting, then it is tried again.
      attempts = 0
      timeout = now + max((mapping.expires - now) / 2, .seconds(5))
    } else if speaks == .pcp, client.isIPv4 {
      speakNATPMP(now: now)
    } else {
      rest(now: now)
    }
  }

  private mutating func rest(now: Instant) {
    if mapping != nil { effects.append(.lost) }
    mapping = nil
    outsideHost = nil
    speaks = .pcp
    attempts = 0
    timeout = now + Self.rest
    effects.append(.unavailable)
  }
}
