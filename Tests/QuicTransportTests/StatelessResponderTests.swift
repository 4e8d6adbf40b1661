import CNgtcp2
import Testing

@testable import QuicTransport

@Suite("StatelessResponder")
struct StatelessResponderTests {
  private let now = Instant(nanoseconds: 1_000_000_000_000)
  private let secrets = EndpointSecrets(resetKey: nil)
  private let path = NetworkPath(
    local: .loopbackIPv4.with(port: 4_433), remote: .loopbackIPv4.with(port: 50_000))

  private func withInitial<Result>(
    token: [UInt8], destination: ConnectionID, remote: SocketAddress? = nil,
    _ body: (ngtcp2_pkt_hd, ReceivedDatagram) -> Result
  ) -> Result {
    var token = token
    return token.withUnsafeMutableBufferPointer { token in
      var header = ngtcp2_pkt_hd()
      header.version = 1
      header.dcid = destination.cid
      header.scid = ConnectionID.random(shard: 0).cid
      header.token = UnsafePointer(token.baseAddress)
      header.tokenlen = token.count
      return [UInt8](repeating: 0, count: 1_200).withUnsafeBytes { bytes in
        var path = path
        if let remote { path.remote = remote }
        return body(header, ReceivedDatagram(bytes: bytes, path: path, ecn: .notCapable))
      }
    }
  }

  private func judge(
    _ responder: inout StatelessResponder, token: [UInt8],
    destination: ConnectionID = .random(shard: 0), remote: SocketAddress? = nil,
    mustRetry: Bool = false
  ) -> StatelessResponder.TokenVerdict {
    withInitial(token: token, destination: destination, remote: remote) { header, datagram in
      responder.judgeToken(header, datagram, mustRetry: mustRetry, now: now)
    }
  }

  @Test("without a token a client is let in, or asked to come again")
  func noToken() {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    guard case .accept(let server) = judge(&responder, token: []) else {
      Issue.record("turned away")
      return
    }
    #expect(!server.cameThroughRetry && server.token.isEmpty)
    guard case .answer(let packet?) = judge(&responder, token: [], mustRetry: true) else {
      Issue.record("let in without proof")
      return
    }
    // RFC 9000 §17.2.5: a Retry packet of version 1, far smaller than the Initial.
    #expect(packet[0] & 0xf0 == 0xf0 && Array(packet[1..<5]) == [0, 0, 0, 1])
    #expect(packet.count < 300)
    // Its source ID, which the client comes back with, leads to this loop (a client ID of 16).
    #expect(packet[5] == 16 && packet[22] == 16 && packet[23] == 3)
  }

  @Test("a Retry token lets the client in with the ID it began with")
  func retryToken() throws {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    let original = ConnectionID.random(shard: 0)
    let retry = ConnectionID.random(shard: 0)
    let token = try #require(
      secrets.makeRetryToken(
        version: 1, remote: path.remote, retryID: retry, originalID: original, now: now))
    let verdict = judge(&responder, token: token, destination: retry, mustRetry: true)
    guard case .accept(let server) = verdict else {
      Issue.record("turned away")
      return
    }
    #expect(server.cameThroughRetry && server.originalID == original)
    #expect(server.destinationID == retry && server.token == token)
  }

  @Test("a forged Retry token is answered with INVALID_TOKEN")
  func forgedRetryToken() throws {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    let retry = ConnectionID.random(shard: 0)
    var token = try #require(
      secrets.makeRetryToken(
        version: 1, remote: path.remote, retryID: retry, originalID: retry, now: now))
    token[token.count / 2] ^= 1
    guard case .answer(let packet?) = judge(&responder, token: token, destination: retry) else {
      Issue.record("let in")
      return
    }
    #expect(packet.count < 100 && packet[0] & 0xf0 == 0xc0)
  }

  @Test("a token of an earlier visit spares the Retry; a foreign one does not")
  func regularToken() throws {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    let token = try #require(secrets.makeRegularToken(for: path.remote, now: now))
    guard case .accept(let server) = judge(&responder, token: token, mustRetry: true) else {
      Issue.record("turned away")
      return
    }
    #expect(!server.cameThroughRetry && server.token == token)
    let foreign = try #require(
      EndpointSecrets(resetKey: nil).makeRegularToken(for: path.remote, now: now))
    guard case .answer(_?) = judge(&responder, token: foreign, mustRetry: true) else {
      Issue.record("believed a foreign token")
      return
    }
    guard case .accept(let stranger) = judge(&responder, token: foreign) else {
      Issue.record("turned a harmless client away")
      return
    }
    #expect(stranger.token.isEmpty)
  }

  @Test("no answer goes to a port of a service that answers anything")
  func reflector() {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    let dns = path.remote.with(port: 53)
    guard case .answer(nil) = judge(&responder, token: [], remote: dns, mustRetry: true) else {
      Issue.record("answered port 53")
      return
    }
  }

  @Test("a reset ends in the token of the ID it answers", arguments: [42, 43, 44, 1_200])
  func reset(count: Int) throws {
    var responder = StatelessResponder(secrets: secrets, shard: 3, now: now)
    let id = ConnectionID.random(shard: 0)
    let packet = [UInt8](repeating: 0x40, count: count).withUnsafeBytes { bytes in
      responder.reset(
        to: ReceivedDatagram(bytes: bytes, path: path, ecn: .notCapable), id, now: now)
    }
    let bytes = try #require(packet)
    #expect(bytes.count < count && bytes.count >= 41)
    #expect(Array(bytes.suffix(16)) == secrets.resetToken(for: id))
    #expect(
      bytes.withUnsafeBytes { ResetToken(endOf: $0) }
        == secrets.resetToken(for: id).withUnsafeBytes { ResetToken($0) })
  }
}
