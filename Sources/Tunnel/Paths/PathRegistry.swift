internal import QuicTransport

/// Finds the session that a path message claims to belong to. One per endpoint.
final class PathRegistry {
  private var managers: [SessionID: PathManager] = [:]
  /// Numbers for the carriers of this endpoint, whoever opens them.
  let carrierNumbers = CarrierNumbers()
  private var relays: [NetworkPath: SocketAddress] = [:]
  /// All paths, as they were a moment ago.
  private var known: (paths: Set<NetworkPath>, at: Instant)?
  /// Takes what a relay forwards, or is to forward. Valid during the call.
  var onRelayed: ((ReceivedDatagram, Instant) -> Void)?
  /// Takes what is neither QUIC nor a path message: STUN, probes. Valid during the call.
  var onOther: ((ReceivedDatagram, Instant) -> Void)?

  /// Has the endpoint hand its foreign datagrams here.
  init(endpoint: EndpointCore) {
    endpoint.onForeignDatagram = { [weak self] datagram, now in
      if datagram.bytes.first == RelayHeader.firstByte {
        self?.onRelayed?(datagram, now)
        return
      }
      guard let session = PathMessage.session(of: datagram.bytes) else {
        self?.onOther?(datagram, now)
        return
      }
      self?.managers[session]?.receive(datagram, now: now)
    }
  }

  func add(_ manager: PathManager) {
    managers[manager.keys.session] = manager
  }

  func remove(_ manager: PathManager) {
    managers[manager.keys.session] = nil
  }

  /// A path leads through the relay at this address; nil when it is gone.
  func note(_ path: NetworkPath, through relay: SocketAddress?) { relays[path] = relay }

  /// The relay that a path leads through; nil for one that is direct.
  func relay(of path: NetworkPath) -> SocketAddress? { relays[path] }

  /// A carrier closed: whoever has its path hears of it.
  func carrierEnded(_ path: NetworkPath) {
    for manager in managers.values { manager.remove(path) }
  }

  /// Whether a session uses a socket of this local port, or may come to use it.
  func usesPort(_ port: UInt16) -> Bool {
    managers.values.contains { $0.paths.contains { $0.path.local.port == port } }
  }

  /// Whether a session uses this path, or may come to use it, or has done so within the last second:
  /// thousands of carriers ask, and all paths are gone through for all of them together.
  func isKnown(_ path: NetworkPath, now: Instant) -> Bool {
    if known.map({ now - $0.at >= Self.knownFor }) ?? true {
      known = (Set(managers.values.lazy.flatMap(\.paths).map(\.path)), now)
    }
    if let known, known.paths.contains(path) { return true }
    return managers.values.contains { $0.paths.contains { $0.path == path } }
  }

  private static let knownFor = Duration.seconds(1)
}
