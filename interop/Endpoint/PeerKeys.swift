import Glibc
import QuicTransport

/// Raw public keys instead of certificates (RFC 7250), for peers that know each other by them.
struct PeerKeys {
  /// Who this endpoint is.
  let identity: Identity
  /// Whom a client dials.
  let expectedPeer: PublicKey?

  /// Reads the PKCS #8 file `path` and a key of 64 hexadecimal digits, which a client needs.
  init(identityFile path: String, peer: String?) throws(InteropError) {
    guard let text = Self.read(path) else { throw .failed("cannot read \(path)") }
    guard let identity = Identity(pem: SecretBytes(text)) else {
      throw .failed("\(path) holds no Ed25519 key in PKCS #8")
    }
    self.identity = identity
    guard let peer else {
      expectedPeer = nil
      return
    }
    guard let key = Self.parse(peer) else {
      throw .failed("QTUN_PEER must be a public key of 64 hexadecimal digits")
    }
    expectedPeer = key
  }

  private static func parse(_ text: String) -> PublicKey? {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count == text.utf8.count, digits.count == 2 * PublicKey.byteCount else {
      return nil
    }
    return PublicKey(
      stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
  }

  private static func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: fileBytesMax)
    let count = fread(&bytes, 1, bytes.count, file)
    return count > 0 ? Array(bytes[..<count]) : nil
  }

  /// A PKCS #8 file of such a key has some 120.
  private static let fileBytesMax = 4_096
}
