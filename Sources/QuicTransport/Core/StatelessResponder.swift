internal import CNgtcp2

/// Answers to datagrams that belong to no connection. They keep no memory, are smaller than what
/// they answer, and are limited in rate, for each source and for the whole endpoint.
struct StatelessResponder {
  private let secrets: EndpointSecrets
  private let shard: UInt8
  private var budget: AnswerBudget
  /// Who had no Retry, and asks again.
  private var patience = PatientClients()

  init(secrets: EndpointSecrets, shard: UInt8, now: Instant) {
    self.secrets = secrets
    self.shard = shard
    budget = AnswerBudget(now: now)
  }

  /// What to do with an Initial.
  enum TokenVerdict {
    case accept(ConnectionRole.Server)
    case answer([UInt8]?)
  }

  /// RFC 9000 §6.1. ngtcp2 asks for it only when the datagram has 1200 bytes.
  mutating func versionNegotiation(
    to datagram: ReceivedDatagram, _ header: ngtcp2_version_cid, _ settings: EndpointSettings,
    now: Instant
  ) -> [UInt8]? {
    guard mayAnswer(datagram, now: now) else { return nil }
    var versions = [Self.greaseVersion] + settings.transport.versions.map(\.number)
    return [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
      count = max(
        0,
        ngtcp2_pkt_write_version_negotiation(
          buffer.baseAddress, 256, Crypto.random(1)[0], header.scid, header.scidlen, header.dcid,
          header.dcidlen, &versions, versions.count))
    }
  }

  /// RFC 9000 §10.3: always smaller than what it answers, so that two endpoints cannot keep each
  /// other going.
  mutating func reset(to datagram: ReceivedDatagram, _ id: ConnectionID, now: Instant) -> [UInt8]? {
    let size = min(datagram.bytes.count - 1, Self.resetSizeMax)
    guard size >= Self.resetSizeMin, mayAnswer(datagram, now: now) else { return nil }
    let noise = Crypto.random(size - Self.resetTokenSize)
    var token = secrets.resetToken(for: id)
    return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = max(
        0,
        ngtcp2_pkt_write_stateless_reset(
          buffer.baseAddress, size, &token, noise, noise.count))
    }
  }

  /// Judges the token of an Initial, and asks for one where it must (RFC 9000 §8.1).
  mutating func judgeToken(
    _ header: ngtcp2_pkt_hd, _ datagram: ReceivedDatagram, mustRetry: Bool, now: Instant
  ) -> TokenVerdict {
    let destination = ConnectionID(header.dcid)
    var server = ConnectionRole.Server(
      version: header.version, clientID: ConnectionID(header.scid), destinationID: destination,
      originalID: destination, cameThroughRetry: false, token: [])
    let token = UnsafeBufferPointer(start: header.token, count: header.tokenlen)
    let remote = datagram.path.remote
    switch token.first.map(Int.init) {
    case QTUN_RETRY_TOKEN_MAGIC:
      guard
        let original = secrets.verifyRetryToken(
          token, version: header.version, remote: remote, destinationID: destination, now: now)
      else { return .answer(invalidToken(to: datagram, header, now: now)) }
      server.originalID = original
      server.cameThroughRetry = true
      server.token = Array(token)
      return .accept(server)
    case QTUN_REGULAR_TOKEN_MAGIC
    where secrets.isRegularTokenValid(token, remote: remote, now: now):
      server.token = Array(token)
      return .accept(server)
    default:
      // A token of another run, or of another server, proves nothing and harms nothing.
      return mustRetry ? .answer(retry(to: datagram, header, now: now)) : .accept(server)
    }
  }

  private mutating func retry(
    to datagram: ReceivedDatagram, _ header: ngtcp2_pkt_hd, now: Instant
  ) -> [UInt8]? {
    let insists = patience.asksAgain(datagram.path.remote, now: now)
    guard mayAnswer(datagram, isUrgent: insists, now: now) else { return nil }
    let retryID = ConnectionID.random(shard: shard)
    guard
      let token = secrets.makeRetryToken(
        version: header.version, remote: datagram.path.remote, retryID: retryID,
        originalID: ConnectionID(header.dcid), now: now)
    else { return nil }
    var client = header.scid
    var retry = retryID.cid
    var original = header.dcid
    return [UInt8](unsafeUninitializedCapacity: 512) { buffer, count in
      count = max(
        0,
        ngtcp2_crypto_write_retry(
          buffer.baseAddress, 512, header.version, &client, &retry, &original, token, token.count))
    }
  }

  /// RFC 9000 §8.1.3: INVALID_TOKEN, without keeping state.
  private mutating func invalidToken(
    to datagram: ReceivedDatagram, _ header: ngtcp2_pkt_hd, now: Instant
  ) -> [UInt8]? {
    guard mayAnswer(datagram, now: now) else { return nil }
    var client = header.scid
    var server = header.dcid
    return [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
      count = max(
        0,
        ngtcp2_crypto_write_connection_close(
          buffer.baseAddress, 256, header.version, &client, &server,
          UInt64(NGTCP2_INVALID_TOKEN), nil, 0))
    }
  }

  private mutating func mayAnswer(
    _ datagram: ReceivedDatagram, isUrgent: Bool = false, now: Instant
  ) -> Bool {
    let remote = datagram.path.remote
    return !Self.reflectorPorts.contains(remote.port)
      && budget.take(for: remote, isUrgent: isUrgent, now: now)
  }

  private static let resetSizeMin = 41
  /// As large as a short packet would be; more would only be noise.
  private static let resetSizeMax = 43
  private static let resetTokenSize = 16
  /// RFC 9000 §15: of the form 0x?a?a?a?a, to keep peers honest.
  private static let greaseVersion: UInt32 = 0x1a2a_3a4a
  /// UDP services that answer anything; a packet from there is spoofed (RFC 9000 §8.1, §21.5).
  private static let reflectorPorts: Set<UInt16> = [
    0, 7, 17, 19, 53, 111, 123, 137, 161, 389, 1_900, 5_353, 11_211, 20_800, 27_015,
  ]
}
