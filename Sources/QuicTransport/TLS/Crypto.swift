internal import CNgtcp2

/// The few primitives that the layers above TLS need, from GnuTLS.
public enum Crypto {
  /// Random bytes fit for keys.
  public static func random(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      random(UnsafeMutableRawBufferPointer(buffer))
      initialized = count
    }
  }

  /// Fills `buffer` with random bytes fit for keys.
  public static func random(_ buffer: UnsafeMutableRawBufferPointer) {
    // GnuTLS fails here only when the kernel has no getrandom; nothing safe can follow.
    let result = gnutls_rnd(GNUTLS_RND_KEY, buffer.baseAddress, buffer.count)
    precondition(result == 0, "the system has no source of randomness")
  }

  /// HMAC-SHA-256 (RFC 2104), 32 bytes.
  public static func hmacSHA256(key: SecretBytes, _ message: [UInt8]) -> [UInt8] {
    key.withBytes { key in
      [UInt8](unsafeUninitializedCapacity: 32) { buffer, initialized in
        let result = gnutls_hmac_fast(
          GNUTLS_MAC_SHA256, key.baseAddress, key.count, message, message.count, buffer.baseAddress)
        precondition(result == 0, "GnuTLS always has HMAC-SHA-256")
        initialized = 32
      }
    }
  }

  /// SHA-256, 32 bytes.
  public static func sha256(_ message: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { buffer, initialized in
      let result = gnutls_hash_fast(
        GNUTLS_DIG_SHA256, message, message.count, buffer.baseAddress)
      precondition(result == 0, "GnuTLS always has SHA-256")
      initialized = 32
    }
  }

  /// SHA-1, 20 bytes: for the handshake of WebSocket (RFC 6455 §4.2.2) and nothing that must be
  /// secure.
  public static func sha1(_ message: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 20) { buffer, initialized in
      let result = gnutls_hash_fast(GNUTLS_DIG_SHA1, message, message.count, buffer.baseAddress)
      precondition(result == 0, "GnuTLS always has SHA-1")
      initialized = 20
    }
  }
}
