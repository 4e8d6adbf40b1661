public import QuicTransport

/// What both sides of a tunnel can choose about their sessions.
public struct SessionSettings: Sendable {
  /// An open session ends when nothing arrived for this long. Hours: it outlives outages, and whether
  /// the peer can be reached is another question (`TunnelEvent.sessionSilent`). A peer that has
  /// not been let in has seconds.
  public var idleTimeout: Duration
  /// A UDP flow ends when neither side sent anything for this long.
  public var udpTimeout: Duration
  /// How fast to send.
  public var congestionControl: CongestionControl
  /// Lets GnuTLS write secrets to the file named by SSLKEYLOGFILE.
  public var allowsKeyLog: Bool

  /// Eight hours of patience, a minute for UDP flows, CUBIC, no key log.
  public static let standard = SessionSettings(
    idleTimeout: .seconds(8 * 3_600), udpTimeout: .seconds(60), congestionControl: .cubic,
    allowsKeyLog: false)

  /// All of it; nothing has a default that changes behaviour.
  public init(
    idleTimeout: Duration, udpTimeout: Duration, congestionControl: CongestionControl,
    allowsKeyLog: Bool
  ) {
    self.idleTimeout = idleTimeout
    self.udpTimeout = udpTimeout
    self.congestionControl = congestionControl
    self.allowsKeyLog = allowsKeyLog
  }

  /// The application protocol of sessions (RFC 7301).
  static let applicationProtocol = "qtun/1"

  /// An endpoint for sessions of `identity`.
  func endpointSettings(identity: Identity, acceptsConnections: Bool) -> EndpointSettings {
    var transport = TransportSettings()
    transport.idleTimeout = idleTimeout
    // Probes of the path manager keep NAT bindings and find dead peers; this keeps the idle timeout
    // of an idle session from passing.
    transport.keepAliveInterval = idleTimeout / 3
    transport.congestionControl = congestionControl
    // A dialler's peer opens streams for its listeners only.
    if !acceptsConnections { transport.bidirectionalStreamsMax = Self.reverseFlowsMax }
    var settings = EndpointSettings(
      authentication: .rawPublicKey(identity),
      applicationProtocols: [Self.applicationProtocol], transport: transport,
      acceptsConnections: acceptsConnections)
    settings.allowsKeyLog = allowsKeyLog
    settings.connectionsMax = Self.sessionsMax
    return settings
  }

  /// Flows of listeners that may be open at once. A sharing side that means ill can open them without
  /// anybody having connected, so there are fewer than of those that we open.
  static let reverseFlowsMax = 1_024

  /// Sessions of a share at once, strangers included: half a gigabyte while they are idle.
  static let sessionsMax = 8_192

  /// What is asked of the kernel for each direction of the UDP socket: a burst of the largest
  /// congestion window that a busy machine leaves waiting for some milliseconds.
  static let socketBufferBytes = 4 * 1024 * 1024
}
