/// What an endpoint is and whom it serves.
public struct EndpointSettings: Sendable {
  /// Who this endpoint is, and how peers prove who they are.
  public var authentication: Authentication
  /// Application protocols, most preferred first; the peers must share one (RFC 7301).
  public var applicationProtocols: [String]
  /// What connections may use.
  public var transport: TransportSettings
  /// Whether peers may connect to us.
  public var acceptsConnections: Bool
  /// When a client must prove its address before it costs us memory (RFC 9000 §8.1.2).
  public var retry = RetryPolicy.underLoad
  /// The key of stateless resets (RFC 9000 §10.3.2). Kept across restarts, it lets peers notice
  /// one at once. Nil makes a fresh one.
  public var resetKey: SecretBytes?
  /// Whether session tickets are issued and used (RFC 8446 §2.2). 0-RTT data is never accepted.
  public var usesSessionTickets = false
  /// Lets GnuTLS write secrets to the file named by SSLKEYLOGFILE.
  public var allowsKeyLog = false
  /// Restricts the cipher suites, in GnuTLS's syntax; for tests.
  public var ciphers: String?
  /// Connections whose handshake is not done; more are not answered.
  public var handshakesMax = 1_024
  /// All connections; more are not answered.
  public var connectionsMax = 65_536
  /// The number of the loop that owns this endpoint, as it stands in connection IDs.
  public var shard: UInt8 = 0

  /// Settings with the defaults for all that is not named.
  public init(
    authentication: Authentication, applicationProtocols: [String],
    transport: TransportSettings, acceptsConnections: Bool
  ) {
    self.authentication = authentication
    self.applicationProtocols = applicationProtocols
    self.transport = transport
    self.acceptsConnections = acceptsConnections
  }

  /// When a server answers an Initial with Retry.
  public enum RetryPolicy: Sendable {
    case always
    /// Once there are many unfinished handshakes.
    case underLoad
  }
}

/// Whom a client dials.
public struct ConnectTarget: Sendable {
  /// The UDP address to send the first packet to.
  public var address: SocketAddress
  /// The identity that the peer must prove. Required with raw public keys.
  public var expectedPeer: PublicKey?
  /// The name to check an X.509 certificate against, and to send as SNI.
  public var serverName: String?
  /// Spoken instead of the endpoint's own protocols (RFC 7301).
  public var applicationProtocol: String?

  /// A target; name the identity, or the server for X.509.
  public init(address: SocketAddress, expectedPeer: PublicKey?, serverName: String?) {
    self.address = address
    self.expectedPeer = expectedPeer
    self.serverName = serverName
  }
}
