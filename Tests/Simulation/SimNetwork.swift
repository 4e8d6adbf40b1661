public import QuicTransport

/// An internet in memory: sockets on hosts, and a link for each direction between two hosts.
///
/// Everything random comes from one seed; `trace` digests every datagram's time, size, ends and
/// fate, but not its bytes, because TLS keys differ from run to run.
public final class SimNetwork {
  public let loop: SimLoop
  /// What links between hosts that have none of their own are like.
  public let defaults: LinkSettings
  public private(set) var trace = TraceHash()
  /// Sees every datagram that is sent, before the link decides about it.
  public var onSend: ((SimDatagram) -> Void)?
  /// Datagrams that were sent and that arrived (duplicates count).
  public private(set) var sentCount = 0
  public private(set) var deliveredCount = 0

  private let seed: UInt64
  private var links: [Direction: SimLink] = [:]
  /// By the address that others see.
  private var sockets: [SocketAddress: SimSocket] = [:]
  private var nextPort: UInt16 = 49_152
  /// Translators by their outside address, and those that hosts are behind.
  private var translators: [SocketAddress: SimNAT] = [:]
  private var gateways: [SocketAddress: SimNAT] = [:]
  /// Routers between any two networks; a datagram with fewer hops left dies there.
  public var coreHops = 8

  private struct Direction: Hashable {
    var from: SocketAddress
    var to: SocketAddress
  }

  public init(loop: SimLoop, seed: UInt64, defaults: LinkSettings) {
    self.loop = loop
    self.seed = seed
    self.defaults = defaults
  }

  /// Binds a socket; port 0 takes a free one.
  public func bind(_ address: SocketAddress) -> SimSocket {
    let bound = address.port == 0 ? freePort(at: address) : address
    precondition(sockets[bound] == nil, "\(bound) is in use")
    let socket = SimSocket(network: self, localAddress: bound)
    sockets[bound] = socket
    return socket
  }

  /// The direction from one host to another; ports do not matter.
  public func link(from: SocketAddress, to: SocketAddress) -> SimLink {
    let direction = Direction(from: from.with(port: 0), to: to.with(port: 0))
    if let link = links[direction] { return link }
    var own = TraceHash()
    for number in [seed, from.high, from.low, to.high, to.low] { own.note(number) }
    let link = SimLink(settings: defaults, seed: own.value)
    links[direction] = link
    return link
  }

  /// Changes both directions between two hosts.
  public func configure(
    _ one: SocketAddress, _ other: SocketAddress, _ change: (inout LinkSettings) -> Void
  ) {
    change(&link(from: one, to: other).settings)
    change(&link(from: other, to: one).settings)
  }

  /// Puts a translator on the network.
  public func addTranslator(at address: SocketAddress, _ settings: SimNAT.Settings) -> SimNAT {
    var own = TraceHash()
    for number in [seed, address.high, address.low] { own.note(number) }
    let translator = SimNAT(
      network: self, address: address, settings: settings, seed: own.value)
    precondition(translators.updateValue(translator, forKey: translator.address) == nil)
    return translator
  }

  func attach(_ host: SocketAddress, to translator: SimNAT) {
    gateways[host.with(port: 0)] = translator
  }

  /// Puts bytes on the wire as if `from` had sent them; for tests that play an attacker.
  public func inject(_ bytes: [UInt8], from: SocketAddress, to: SocketAddress) {
    transmit(SimDatagram(bytes: bytes, from: from, to: to, ecn: .notCapable))
  }

  private func freePort(at address: SocketAddress) -> SocketAddress {
    while sockets[address.with(port: nextPort)] != nil { nextPort += 1 }
    defer { nextPort += 1 }
    return address.with(port: nextPort)
  }
}

// MARK: - For sockets

extension SimNetwork {
  func transmit(_ datagram: SimDatagram) {
    sentCount += 1
    onSend?(datagram)
    route(datagram)
  }

  /// Takes a datagram from a host, or from a translator's outside, to where it goes.
  private func route(_ datagram: SimDatagram) {
    let near = gateways[datagram.from.with(port: 0)]
    let far = gateways[datagram.to.with(port: 0)]
    guard near !== far else {
      // Neighbours, or two hosts of the open internet.
      if near != nil || datagram.hopLimit > coreHops { carry(datagram) }
      return
    }
    // Nobody but its neighbours reaches a host by its inside address.
    guard let near, far == nil else { return }
    // What goes to the translator itself takes no port of it, unless it is sent back.
    let isOwn = datagram.to.with(port: 0) == near.address
    guard !isOwn || near.settings.hairpins, let translated = near.translate(datagram) else {
      return
    }
    if isOwn { deliver(translated, now: loop.now) } else { route(translated) }
  }

  private func carry(_ datagram: SimDatagram) {
    let headerBytes = datagram.to.isIPv4 ? Self.headersIPv4 : Self.headersIPv6
    let arrivals = link(from: datagram.from, to: datagram.to).accept(
      datagram.bytes.count, ecn: datagram.ecn, headerBytes: headerBytes, now: loop.now)
    note(datagram, arrivals)
    for arrival in arrivals {
      var copy = datagram
      copy.ecn = arrival.ecn
      if let (offset, mask) = arrival.corruption { copy.bytes[offset] ^= mask }
      let timer = LoopTimer { [weak self] now in self?.deliver(copy, now: now) }
      loop.schedule(timer, at: arrival.at)
    }
  }

  func move(_ socket: SimSocket, from old: SocketAddress, to new: SocketAddress) {
    precondition(sockets[new] == nil, "\(new) is in use")
    sockets[old] = nil
    sockets[new] = socket
  }

  func unbind(_ socket: SimSocket) {
    sockets[socket.publicAddress] = nil
  }

  private func deliver(_ datagram: SimDatagram, now: Instant) {
    if let translator = translators[datagram.to.with(port: 0)] {
      if let admitted = translator.admit(datagram) { deliver(admitted, now: now) }
      return
    }
    guard let socket = sockets[datagram.to] else { return }
    deliveredCount += 1
    socket.receive(datagram, now: now)
  }

  private func note(_ datagram: SimDatagram, _ arrivals: [SimLink.Arrival]) {
    trace.note(loop.now.nanoseconds)
    trace.note(UInt64(datagram.bytes.count) << 8 | UInt64(datagram.ecn.rawValue))
    trace.note(datagram.from.low &* 31 &+ UInt64(datagram.from.port))
    trace.note(datagram.to.low &* 31 &+ UInt64(datagram.to.port))
    for arrival in arrivals { trace.note(arrival.at.nanoseconds) }
  }

  /// IP and UDP headers.
  private static let headersIPv4 = 28
  private static let headersIPv6 = 48
}

/// A datagram on a simulated wire.
public struct SimDatagram: Sendable {
  public var bytes: [UInt8]
  public var from: SocketAddress
  public var to: SocketAddress
  public var ecn: ECN
  /// What is left of the IP header's TTL.
  public var hopLimit = 64
}
