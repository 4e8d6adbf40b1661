import QuicTransport

/// The test cases of quic-interop-runner that this endpoint takes part in, and what each changes.
enum TestCase: String {
  case handshake
  case transfer
  case longrtt
  case chacha20
  case multiplexing
  case retry
  case resumption
  case http3
  case multiconnect
  case v2
  case keyupdate
  case ecn
  case ipv6
  case connectionmigration
  case versionnegotiation
  /// Ours: a connection for each file, and none of them ends the run. See interop/rules.
  case hostile

  /// - Throws: `InteropError.unsupported` for every other name.
  init(named name: String) throws(InteropError) {
    switch name {
    case "zerortt":
      throw .unsupported("zerortt: 0-RTT data can be replayed, so qtun neither sends nor takes it")
    default:
      guard let known = TestCase(rawValue: name) else {
        throw .unsupported("test case '\(name)' is not known")
      }
      self = known
    }
  }

  /// What the case is played over.
  var httpVersion: HTTPVersion { self == .http3 ? .http3 : .http09 }

  /// Adapts the settings that every case starts from.
  func adapt(_ settings: inout EndpointSettings) {
    // The runner's server must not allow more than 1000.
    settings.transport.bidirectionalStreamsMax = Self.streamsMax
    settings.transport.idleTimeout = .seconds(60)
    // The amplificationlimit case drops a client's probes until their back-off is above ten seconds.
    settings.transport.handshakeTimeout = .seconds(60)
    // A client that only receives has nothing to say once all is acknowledged, also not that a NAT has
    // given it another address meanwhile.
    if !settings.acceptsConnections { settings.transport.keepAliveInterval = .seconds(1) }
    // In connectionmigration the client is only told to transfer.
    settings.transport.followsPreferredAddress = true
    switch self {
    case .chacha20: settings.ciphers = "+CHACHA20-POLY1305"
    case .retry: settings.retry = .always
    case .resumption: settings.usesSessionTickets = true
    case .v2: settings.transport.versions = [.v2, .v1]
    // A probe that is larger than the path would show up as a lost ECN-marked packet.
    case .ecn: settings.transport.pathMTUProbes = []
    case .multiconnect:
      // A third of all packets is lost or damaged.
      settings.transport.handshakeTimeout = .seconds(180)
    case .transfer:
      // Small enough that MAX_DATA and MAX_STREAM_DATA have to follow the consumer.
      settings.transport.streamWindowInitial = 256 * 1024
      settings.transport.connectionWindowInitial = 512 * 1024
    case .hostile: settings.transport.handshakeTimeout = .seconds(5)
    case .versionnegotiation:
      if !settings.acceptsConnections {
        settings.transport.initialVersion = QuicVersion(number: Self.unknownVersion)
      }
    case .handshake, .longrtt, .multiplexing, .http3, .keyupdate, .ipv6, .connectionmigration: break
    }
  }

  /// How the client spreads its requests over connections.
  func visits(_ requests: [RequestURL]) -> [[RequestURL]] {
    switch self {
    case .multiconnect, .hostile: requests.map { [$0] }
    case .resumption: [Array(requests.prefix(1)), Array(requests.dropFirst())]
    default: [requests]
    }
  }

  private static let streamsMax = 100
  /// Of the form that no version ever has (RFC 9000 §15).
  private static let unknownVersion: UInt32 = 0x5a6a_7a8a
}
