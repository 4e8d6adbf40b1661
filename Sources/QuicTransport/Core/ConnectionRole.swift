internal import CNgtcp2

/// Which end of a connection this is, with what only that end knows.
enum ConnectionRole {
  case client(Client)
  case server(Server)

  struct Client {
    /// The version of the first packet.
    var version: QuicVersion
    /// A token from an earlier NEW_TOKEN (RFC 9000 §8.1.3).
    var token: [UInt8]
  }

  struct Server {
    var version: UInt32
    /// The source ID of the client's Initial.
    var clientID: ConnectionID
    /// The destination ID of the client's Initial that is answered.
    var destinationID: ConnectionID
    /// The destination ID of the client's very first Initial, from before our Retry.
    var originalID: ConnectionID
    var cameThroughRetry: Bool
    /// A token that was verified; it lifts the amplification limit.
    var token: [UInt8]
  }

  var isServer: Bool {
    if case .server = self { return true }
    return false
  }

  /// An ID that the client made up and uses until it hears ours.
  var initialDestination: ConnectionID? {
    if case .server(let server) = self { return server.destinationID }
    return nil
  }
}

/// ngtcp2's two configuration structs, filled from our settings.
struct NgConfiguration {
  private var settings = ngtcp2_settings()
  private var parameters = ngtcp2_transport_params()
  private let versions: [UInt32]
  private let probes: [UInt16]
  private let token: [UInt8]

  init(_ own: TransportSettings, role: ConnectionRole, scid: ConnectionID, now: Instant) {
    qtun_settings_default(&settings)
    qtun_transport_params_default(&parameters)
    versions = own.versions.map(\.number)
    probes = own.pathMTUProbes
    settings.initial_ts = now.nanoseconds
    settings.initial_rtt = own.initialRTT.wholeNanoseconds
    settings.handshake_timeout = own.handshakeTimeout.wholeNanoseconds
    settings.cc_algo =
      own.congestionControl == .bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC
    settings.max_tx_udp_payload_size = Int(probes.max() ?? 1_200)
    // ngtcp2's own is 2.
    if own.acknowledgesAtOnce { settings.ack_thresh = 1 }
    settings.no_pmtud = probes.isEmpty ? 1 : 0
    // Windows are tuned by ReceiveWindow, from consumption; ngtcp2 would tune from arrival.
    settings.max_window = 0
    settings.max_stream_window = 0
    parameters.initial_max_data = UInt64(own.connectionWindowInitial)
    parameters.initial_max_stream_data_bidi_local = UInt64(own.streamWindowInitial)
    parameters.initial_max_stream_data_bidi_remote = UInt64(own.streamWindowInitial)
    parameters.initial_max_stream_data_uni = UInt64(own.streamWindowInitial)
    parameters.initial_max_streams_bidi = UInt64(own.bidirectionalStreamsMax)
    parameters.initial_max_streams_uni = UInt64(own.unidirectionalStreamsMax)
    parameters.max_idle_timeout = own.idleTimeout.wholeNanoseconds
    parameters.active_connection_id_limit = 8
    parameters.max_datagram_frame_size = UInt64(own.datagramSizeMax)
    switch role {
    case .client(let client): token = client.token
    case .server(let server):
      token = server.token
      parameters.original_dcid = server.originalID.cid
      parameters.original_dcid_present = 1
      if server.cameThroughRetry {
        parameters.retry_scid = server.destinationID.cid
        parameters.retry_scid_present = 1
      }
    }
    if token.first == UInt8(QTUN_RETRY_TOKEN_MAGIC), role.isServer {
      settings.token_type = NGTCP2_TOKEN_TYPE_RETRY
    } else if !token.isEmpty {
      settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN
    }
  }

  /// Has a server tell its clients of another address, and of the ID to use there (RFC 9000 §9.6).
  mutating func prefer(_ address: PreferredAddress, id: ConnectionID, resetToken: [UInt8]) {
    parameters.preferred_addr_present = 1
    parameters.preferred_addr.cid = id.cid
    withUnsafeMutableBytes(of: &parameters.preferred_addr.stateless_reset_token) {
      $0.copyBytes(from: resetToken)
    }
    if var raw = address.ipv4?.raw {
      parameters.preferred_addr.ipv4_present = 1
      withUnsafeMutableBytes(of: &parameters.preferred_addr.ipv4) {
        _ = qtun_address_store_family(&raw, $0.baseAddress)
      }
    }
    if var raw = address.ipv6?.raw {
      parameters.preferred_addr.ipv6_present = 1
      withUnsafeMutableBytes(of: &parameters.preferred_addr.ipv6) {
        _ = qtun_address_store_family(&raw, $0.baseAddress)
      }
    }
  }

  /// Lends both structs; ngtcp2 copies what they point to.
  func withPointers(
    _ body: (UnsafePointer<ngtcp2_settings>, UnsafeMutablePointer<ngtcp2_transport_params>)
      -> Int32
  ) -> Int32 {
    var settings = settings
    var parameters = parameters
    return versions.withUnsafeBufferPointer { versions in
      probes.withUnsafeBufferPointer { probes in
        token.withUnsafeBufferPointer { token in
          settings.preferred_versions = versions.baseAddress
          settings.preferred_versionslen = versions.count
          settings.available_versions = versions.baseAddress
          settings.available_versionslen = versions.count
          settings.pmtud_probes = probes.baseAddress
          settings.pmtud_probeslen = probes.count
          settings.token = token.isEmpty ? nil : token.baseAddress
          settings.tokenlen = token.count
          return body(&settings, &parameters)
        }
      }
    }
  }
}
