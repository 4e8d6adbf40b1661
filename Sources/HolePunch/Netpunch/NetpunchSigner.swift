public import QuicTransport

/// Signs and checks datagrams as netpunch does: `ascii85(HMAC-SHA256(secret, payload)) SP payload`.
///
/// The signature covers the payload alone: no address, time or counter. Whoever overhears a
/// datagram can send it again, from anywhere; the machines of this folder are built for that.
public struct NetpunchSigner: Sendable {
  /// What the two programs share.
  private let secret: SecretBytes

  /// Bytes of the signature and the space behind it.
  static let headerCount = 41
  /// netpunch's own read buffer; the longest payload that it sends has about 50 bytes.
  static let payloadBytesMax = 1024

  /// A signer for a shared secret.
  public init(secret: SecretBytes) {
    self.secret = secret
  }

  /// The datagram for a payload; nil where netpunch's wire cannot express the signature.
  ///
  /// netpunch's ascii85 writes four zero bytes as one `z`, which makes the signature shorter than
  /// its receiver expects, and refuses to send it. That strikes one payload in 2^29, always the
  /// same ones of a secret.
  public func seal(_ payload: [UInt8]) -> [UInt8]? {
    let signature = NetpunchAscii85.encode(Crypto.hmacSHA256(key: secret, payload))
    guard signature.count == Self.headerCount - 1 else { return nil }
    return signature + [UInt8(ascii: " ")] + payload
  }

  /// The payload of a datagram; nil if nobody with the secret made it. Compares in constant time.
  public func open(_ datagram: UnsafeRawBufferPointer) -> [UInt8]? {
    let count = datagram.count - Self.headerCount
    guard (1...Self.payloadBytesMax).contains(count) else { return nil }
    let payload = [UInt8](datagram[Self.headerCount...])
    guard let expected = seal(payload) else { return nil }
    return SecretBytes(expected).matches(datagram) ? payload : nil
  }
}
