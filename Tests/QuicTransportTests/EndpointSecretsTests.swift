import Testing

@testable import QuicTransport

@Suite("EndpointSecrets")
struct EndpointSecretsTests {
  private let key = SecretBytes([UInt8](repeating: 9, count: 32))
  private let here = SocketAddress.loopbackIPv4.with(port: 1_000)
  private let there = SocketAddress.loopbackIPv4.with(port: 1_001)
  private let elsewhere = SocketAddress(ipv4: 0x0a00_0001, port: 1_000)
  private let now = Instant(nanoseconds: 1_000_000_000_000)

  private func isValid(
    _ token: [UInt8], _ secrets: EndpointSecrets, from remote: SocketAddress, at now: Instant
  ) -> Bool {
    token.withUnsafeBufferPointer {
      secrets.isRegularTokenValid($0, remote: remote, now: now)
    }
  }

  @Test("reset tokens survive a restart with the same key, and only that")
  func resetTokens() {
    let id = ConnectionID.random(shard: 1)
    let first = EndpointSecrets(resetKey: key)
    #expect(first.resetToken(for: id).count == 16)
    #expect(first.resetToken(for: id) == EndpointSecrets(resetKey: key).resetToken(for: id))
    #expect(first.resetToken(for: id) != EndpointSecrets(resetKey: nil).resetToken(for: id))
    #expect(first.resetToken(for: id) != first.resetToken(for: .random(shard: 1)))
  }

  @Test("a token for the next visit holds for the address, whatever the port, for a day")
  func regularToken() throws {
    let secrets = EndpointSecrets(resetKey: key)
    let token = try #require(secrets.makeRegularToken(for: here, now: now))
    #expect(isValid(token, secrets, from: here, at: now + .seconds(1)))
    #expect(isValid(token, secrets, from: there, at: now + .seconds(86_000)))
    #expect(!isValid(token, secrets, from: here, at: now + .seconds(86_401)))
    #expect(!isValid(token, secrets, from: elsewhere, at: now + .seconds(1)))
    #expect(!isValid(token, EndpointSecrets(resetKey: key), from: here, at: now))
    for index in token.indices {
      var forged = token
      forged[index] ^= 0x10
      #expect(!isValid(forged, secrets, from: here, at: now), "byte \(index)")
    }
  }

  @Test("a Retry token gives back the first ID to the same port, ID and version for ten seconds")
  func retryToken() throws {
    let secrets = EndpointSecrets(resetKey: key)
    let original = ConnectionID.random(shard: 0)
    let retry = ConnectionID.random(shard: 0)
    let token = try #require(
      secrets.makeRetryToken(
        version: 1, remote: here, retryID: retry, originalID: original, now: now))
    func verify(
      version: UInt32 = 1, from remote: SocketAddress, id: ConnectionID, after: Duration
    ) -> ConnectionID? {
      token.withUnsafeBufferPointer {
        secrets.verifyRetryToken(
          $0, version: version, remote: remote, destinationID: id, now: now + after)
      }
    }
    #expect(verify(from: here, id: retry, after: .seconds(9)) == original)
    #expect(verify(from: here, id: retry, after: .seconds(11)) == nil)
    #expect(verify(from: there, id: retry, after: .zero) == nil)
    #expect(verify(from: here, id: original, after: .zero) == nil)
    #expect(verify(version: 2, from: here, id: retry, after: .zero) == nil)
  }
}
