public import QuicTransport

/// An address translator between hosts of a `SimNetwork` and the rest, in the terms of RFC 4787.
///
///     network.bind(inside)            a host behind it: `attach` its address
///     nat.address                     what the others see
///
/// A translator whose own address is attached to another one stands behind it (carrier-grade NAT).
public final class SimNAT {
  /// The outside address, port 0.
  public let address: SocketAddress
  /// May be changed while in use.
  public var settings: Settings

  private unowned let network: SimNetwork
  private var random: SplitMix64
  private var mappings: [Key: Mapping] = [:]
  private var byPort: [UInt16: Mapping] = [:]
  /// Flows that got a port of their own, because an unsolicited packet had taken their tuple.
  private var displaced: [Flow: Mapping] = [:]
  /// Packets for the translator itself, which it keeps as flows of its own.
  private var confirmed: [Flow: Instant] = [:]
  /// Ports that were opened on request, and what they lead to.
  private var forwards: [UInt16: SocketAddress] = [:]
  private var lastPort: UInt16
  /// The outside port that was given out last.
  public private(set) var newestPort: UInt16?

  init(network: SimNetwork, address: SocketAddress, settings: Settings, seed: UInt64) {
    self.network = network
    self.address = address.with(port: 0)
    self.settings = settings
    random = SplitMix64(seed: seed)
    lastPort = UInt16(20_000 + random.below(20_000))
  }

  /// Puts a host, or another translator, behind this one.
  public func attach(_ host: SocketAddress) { network.attach(host, to: self) }

  /// Outside ports in use.
  public var mappingCount: Int { byPort.values.count { isLive($0.used) } }

  /// Forgets everything, as after a restart or `conntrack -F`.
  public func flush() {
    mappings = [:]
    byPort = [:]
    displaced = [:]
    confirmed = [:]
  }

  /// Whoever sends to this port reaches `inside`, and is answered from it; nil closes the port.
  public func forward(_ port: UInt16, to inside: SocketAddress?) { forwards[port] = inside }

  /// Ports that were opened on request.
  public var forwardedPorts: Set<UInt16> { Set(forwards.keys) }

  private struct Key: Hashable {
    var inside: SocketAddress
    var remote: SocketAddress
  }

  private struct Flow: Hashable {
    var inside: SocketAddress
    var remote: SocketAddress
  }

  private final class Mapping {
    let inside: SocketAddress
    let port: UInt16
    var used: Instant
    /// When each remote address was last sent to.
    var contacts: [SocketAddress: Instant] = [:]

    init(inside: SocketAddress, port: UInt16, used: Instant) {
      self.inside = inside
      self.port = port
      self.used = used
    }
  }

  /// What kind of translator it is.
  public struct Settings: Sendable {
    public var mapping: Dependence
    public var filtering: Dependence
    public var allocation: PortAllocation
    /// RFC 4787 §4.3; 30 s is what Linux gives flows that were not answered.
    public var timeout = Duration.seconds(30)
    /// Whether packets from outside keep a mapping alive.
    public var inboundRefreshes = true
    /// RFC 4787 §6
    public var hairpins = false
    /// A packet from outside that nobody asked for is kept as a flow to the translator itself. A
    /// later flow from inside that would look the same outside then gets another port. Linux does
    /// so where its INPUT chain lets such packets in.
    public var confirmsUnsolicitedInput = false
    public var blocksUDP = false

    public init(mapping: Dependence, filtering: Dependence, allocation: PortAllocation) {
      self.mapping = mapping
      self.filtering = filtering
      self.allocation = allocation
    }
  }

  /// What of a remote address matters.
  public enum Dependence: Sendable {
    case endpointIndependent, addressDependent, addressAndPortDependent

    func key(_ remote: SocketAddress) -> SocketAddress {
      switch self {
      case .endpointIndependent: .any
      case .addressDependent: remote.with(port: 0)
      case .addressAndPortDependent: remote
      }
    }
  }

  /// How outside ports are chosen.
  public enum PortAllocation: Equatable, Sendable {
    /// The inside port, if it is free.
    case preserving
    case random
    /// Each one so many above the last.
    case sequential(Int)
  }
}

// MARK: - Kinds

extension SimNAT.Settings {
  /// Everybody gets in.
  public static let fullCone = Self(
    mapping: .endpointIndependent, filtering: .endpointIndependent, allocation: .random)
  /// Hosts that were sent to get in.
  public static let addressRestricted = Self(
    mapping: .endpointIndependent, filtering: .addressDependent, allocation: .random)
  /// Most home routers.
  public static let portRestricted = Self(
    mapping: .endpointIndependent, filtering: .addressAndPortDependent, allocation: .random)
  /// Linux `masquerade` that drops what nobody asked for.
  public static let linuxHome = Self(
    mapping: .endpointIndependent, filtering: .addressAndPortDependent, allocation: .preserving)
  /// Linux `masquerade` alone.
  public static let linuxOpen = {
    var settings = linuxHome
    settings.confirmsUnsolicitedInput = true
    return settings
  }()
  /// "Symmetric", and no guessing.
  public static let symmetricRandom = Self(
    mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, allocation: .random)
  /// "Symmetric", with ports in a row.
  public static let symmetricRegular = Self(
    mapping: .addressAndPortDependent, filtering: .addressAndPortDependent,
    allocation: .sequential(1))
  /// Another port for each host, and that host gets in.
  public static let addressDependent = Self(
    mapping: .addressDependent, filtering: .addressDependent, allocation: .random)
}

// MARK: - For the network

extension SimNAT {
  /// What a datagram from inside looks like outside; nil if it does not pass.
  func translate(_ datagram: SimDatagram) -> SimDatagram? {
    guard !settings.blocksUDP, datagram.hopLimit > 1 else { return nil }
    let mapping = mapping(from: datagram.from, to: datagram.to)
    mapping.used = now
    mapping.contacts[datagram.to] = now
    var translated = datagram
    translated.from = address.with(port: mapping.port)
    translated.hopLimit -= 1
    return translated
  }

  /// The datagram for a host inside; nil if it is not let in.
  func admit(_ datagram: SimDatagram) -> SimDatagram? {
    guard !settings.blocksUDP, datagram.hopLimit > 1 else { return nil }
    if let inside = forwards[datagram.to.port] { return admit(datagram, forwardedTo: inside) }
    guard let mapping = byPort[datagram.to.port], isLive(mapping.used),
      admits(datagram.from, through: mapping)
    else {
      if settings.confirmsUnsolicitedInput, confirmed.count < Self.confirmedMax {
        confirmed[Flow(inside: datagram.to, remote: datagram.from)] = now
      }
      return nil
    }
    if settings.inboundRefreshes {
      mapping.used = now
      if mapping.contacts[datagram.from] != nil { mapping.contacts[datagram.from] = now }
    }
    var admitted = datagram
    admitted.to = mapping.inside
    admitted.hopLimit -= 1
    return admitted
  }

  private func admit(_ datagram: SimDatagram, forwardedTo inside: SocketAddress) -> SimDatagram {
    let flow = Flow(inside: inside, remote: datagram.from)
    let mapping =
      displaced[flow] ?? Mapping(inside: inside, port: datagram.to.port, used: now)
    mapping.used = now
    displaced[flow] = mapping
    var admitted = datagram
    admitted.to = inside
    admitted.hopLimit -= 1
    return admitted
  }

  private var now: Instant { network.loop.now }

  private func isLive(_ used: Instant) -> Bool { now - used < settings.timeout }

  private func admits(_ remote: SocketAddress, through mapping: Mapping) -> Bool {
    let key = settings.filtering.key(remote)
    return mapping.contacts.contains { contact in
      settings.filtering.key(contact.key) == key && isLive(contact.value)
    }
  }

  private func mapping(from inside: SocketAddress, to remote: SocketAddress) -> Mapping {
    let flow = Flow(inside: inside, remote: remote)
    if let own = displaced[flow], isLive(own.used) { return own }
    let key = Key(inside: inside, remote: settings.mapping.key(remote))
    let mapping: Mapping
    if let known = mappings[key], isLive(known.used) {
      mapping = known
    } else {
      mapping = make(inside, port: freePort(for: inside.port))
      mappings[key] = mapping
    }
    let isNew = !(mapping.contacts[remote].map(isLive) ?? false)
    let tuple = Flow(inside: address.with(port: mapping.port), remote: remote)
    guard isNew, let taken = confirmed[tuple], isLive(taken) else { return mapping }
    let own = make(inside, port: randomPort())
    displaced[flow] = own
    return own
  }

  private func make(_ inside: SocketAddress, port: UInt16) -> Mapping {
    let mapping = Mapping(inside: inside, port: port, used: now)
    byPort[port] = mapping
    newestPort = port
    return mapping
  }

  private func isFree(_ port: UInt16) -> Bool { byPort[port].map { !isLive($0.used) } ?? true }

  private func freePort(for inside: UInt16) -> UInt16 {
    switch settings.allocation {
    case .preserving: return isFree(inside) ? inside : randomPort()
    case .random: return randomPort()
    case .sequential(let delta):
      repeat {
        let offset = (Int(lastPort) - Self.ports.lowerBound + delta) % Self.ports.count
        lastPort = UInt16(Self.ports.lowerBound + (offset + Self.ports.count) % Self.ports.count)
      } while !isFree(lastPort)
      return lastPort
    }
  }

  private func randomPort() -> UInt16 {
    while true {
      let port = UInt16(UInt64(Self.ports.lowerBound) + random.below(UInt64(Self.ports.count)))
      if isFree(port) { return port }
    }
  }

  private static let ports = 1_024...65_535
  private static let confirmedMax = 65_536
}
