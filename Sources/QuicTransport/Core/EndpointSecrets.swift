internal import CNgtcp2

/// The keys behind an endpoint's stateless answers.
final class EndpointSecrets {
  private let resetKey: SecretBytes
  private let tokenKey: SecretBytes
  let ticketKey: SecretBytes

  /// - Parameter resetKey: kept by the caller across restarts, or nil for a fresh one.
  init(resetKey: SecretBytes?) {
    self.resetKey = resetKey ?? SecretBytes(Crypto.random(32))
    // Tokens and tickets of an earlier run are refused, which costs a round trip, nothing more.
    tokenKey = SecretBytes(Crypto.random(32))
    var key = gnutls_datum_t()
    let result = gnutls_session_ticket_key_generate(&key)
    precondition(result == 0, "the system has no source of randomness")
    ticketKey = SecretBytes(UnsafeBufferPointer(start: key.data, count: Int(key.size)))
    qtun_free_secret(&key)
  }

  /// RFC 9000 §10.3.2: a function of the connection ID and a static key.
  func resetToken(for id: ConnectionID) -> [UInt8] {
    var cid = id.cid
    return resetKey.withBytes { key in
      [UInt8](unsafeUninitializedCapacity: 16) { token, count in
        let result = ngtcp2_crypto_generate_stateless_reset_token(
          token.baseAddress, key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, &cid)
        precondition(result == 0, "HKDF does not fail")
        count = 16
      }
    }
  }

  func makeRegularToken(for remote: SocketAddress, now: Instant) -> [UInt8]? {
    withAddress(remote) { address, length, key in
      let token = [UInt8](unsafeUninitializedCapacity: Self.regularMax) { token, count in
        count = max(
          0,
          ngtcp2_crypto_generate_regular_token(
            token.baseAddress, key.baseAddress, key.count, address, length, now.nanoseconds))
      }
      return token.isEmpty ? nil : token
    }
  }

  func isRegularTokenValid(_ token: UnsafeBufferPointer<UInt8>, remote: SocketAddress, now: Instant)
    -> Bool
  {
    withAddress(remote) { address, length, key in
      ngtcp2_crypto_verify_regular_token(
        token.baseAddress, token.count, key.baseAddress, key.count, address, length,
        Self.regularLifetime.wholeNanoseconds, now.nanoseconds) == 0
    }
  }

  func makeRetryToken(
    version: UInt32, remote: SocketAddress, retryID: ConnectionID, originalID: ConnectionID,
    now: Instant
  ) -> [UInt8]? {
    var retry = retryID.cid
    var original = originalID.cid
    return withAddress(remote) { address, length, key in
      let token = [UInt8](unsafeUninitializedCapacity: Self.retryMax) { token, count in
        count = max(
          0,
          ngtcp2_crypto_generate_retry_token2(
            token.baseAddress, key.baseAddress, key.count, version, address, length, &retry,
            &original, now.nanoseconds))
      }
      return token.isEmpty ? nil : token
    }
  }

  /// The destination ID of the client's first Initial, if the token is ours and fresh.
  func verifyRetryToken(
    _ token: UnsafeBufferPointer<UInt8>, version: UInt32, remote: SocketAddress,
    destinationID: ConnectionID, now: Instant
  ) -> ConnectionID? {
    var destination = destinationID.cid
    var original = ngtcp2_cid()
    let result = withAddress(remote) { address, length, key in
      ngtcp2_crypto_verify_retry_token2(
        &original, token.baseAddress, token.count, key.baseAddress, key.count, version, address,
        length, &destination, Self.retryLifetime.wholeNanoseconds, now.nanoseconds)
    }
    return result == 0 ? ConnectionID(original) : nil
  }

  private func withAddress<Result>(
    _ address: SocketAddress,
    _ body: (UnsafePointer<ngtcp2_sockaddr>, ngtcp2_socklen, UnsafeBufferPointer<UInt8>) -> Result
  ) -> Result {
    let storage = PathStorage(NetworkPath(local: .any, remote: address))
    let remote = storage.pointer.pointee.remote
    return tokenKey.withBytes { key in
      withExtendedLifetime(storage) {
        body(remote.addr, remote.addrlen, key.assumingMemoryBound(to: UInt8.self))
      }
    }
  }

  private static let retryMax = Int(QTUN_RETRY_TOKEN_LENGTH_MAX)
  private static let regularMax = Int(QTUN_REGULAR_TOKEN_LENGTH_MAX)
  /// A client answers a Retry at once; RFC 9000 §8.1.4 wants it short.
  private static let retryLifetime = Duration.seconds(10)
  private static let regularLifetime = Duration.seconds(24 * 3_600)
}
