internal import QuicTransport

/// Proof that the connecting side holds a ticket's capability, without showing it.
///
/// HMAC-SHA-256 under the capability over a label and bytes from the TLS exporter (RFC 8446 §7.5).
/// The exporter differs on every connection and between any two pairs of ends, so a proof is worth
/// nothing anywhere else, and a relay in between cannot pass it on.
enum CapabilityProof {
  static let count = 32
  private static let exporterLabel = "EXPORTER-qtun-capability"
  private static let messageLabel = Array("qtun/1 capability".utf8)

  /// Nil before the handshake is done.
  static func make(capability: SecretBytes, connection: ConnectionCore) -> [UInt8]? {
    let exported = connection.exportKeyingMaterial(
      label: exporterLabel, context: [], count: count)
    guard let exported else { return nil }
    return make(capability: capability, exported: exported)
  }

  static func make(capability: SecretBytes, exported: [UInt8]) -> [UInt8] {
    Crypto.hmacSHA256(key: capability, messageLabel + exported)
  }

  /// Compares in constant time.
  static func isValid(
    _ proof: [UInt8], capability: SecretBytes, connection: ConnectionCore
  ) -> Bool {
    guard let expected = make(capability: capability, connection: connection) else { return false }
    return proof.withUnsafeBytes { SecretBytes(expected).matches($0) }
  }
}
