public import QuicTransport

/// What both sides of a tunnel can choose about their sessions.
public struct SessionSettings: Sendable {
  /// The session ends when nothing arrived for this long.
  public var idleTimeout: Duration
  /// A UDP flow ends when neither side sent anything for this long.
  public var udpTimeout: Duration
  /// How fast to send.
  public var congestionControl: CongestionControl
  /// Lets GnuTLS write secrets to the file named by SSLKEYLOGFILE.
  public var allowsKeyLog: Bool

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

  /// A NAT may forget a UDP binding after 30 s (RFC 4787 §4.3 asks for two minutes, many give
  /// less), and a dead peer should be noticed well before the idle timeout.
  private static let keepAliveMax = Duration.seconds(15)

  /// An endpoint for sessions of `identity`.
  func endpointSettings(identity: Identity, acceptsConnections: Bool) -> EndpointSettings {
    var transport = TransportSettings()
    transport.idleTimeout = idleTimeout
    transport.keepAliveInterval = min(Self.keepAliveMax, idleTimeout / 3)
    transport.congestionControl = congestionControl
    var settings = EndpointSettings(
      authentication: .rawPublicKey(identity),
      applicationProtocols: [Self.applicationProtocol], transport: transport,
      acceptsConnections: acceptsConnections)
    settings.allowsKeyLog = allowsKeyLog
    return settings
  }

  /// What is asked of the kernel for each direction of the UDP socket: a burst of the largest
  /// congestion window that a busy machine leaves waiting for some milliseconds.
  static let socketBufferBytes = 4 * 1024 * 1024
}
