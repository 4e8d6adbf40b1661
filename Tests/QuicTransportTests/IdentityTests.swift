import Simulation
import Testing

@testable import QuicTransport

@Suite("Identity and PublicKey")
struct IdentityTests {
  private func bytes(_ hex: String) -> [UInt8] {
    stride(from: 0, to: hex.utf8.count, by: 2).compactMap { offset in
      let start = hex.index(hex.startIndex, offsetBy: offset)
      return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)
    }
  }

  private func text(_ secret: SecretBytes) -> String {
    secret.withBytes { String(decoding: $0, as: UTF8.self) }
  }

  @Test(
    "the public key of a seed is that of RFC 8032 §7.1",
    arguments: [
      (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
      ),
      (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
      ),
    ])
  func vectors(_ seed: String, _ key: String) {
    #expect(Identity(seed: SecretBytes(bytes(seed)))?.publicKey.bytes == bytes(key))
  }

  @Test("a seed of another length is refused", arguments: [0, 31, 33, 64])
  func seedLength(_ count: Int) {
    #expect(Identity(seed: SecretBytes([UInt8](repeating: 1, count: count))) == nil)
  }

  @Test("a key file survives the round trip")
  func roundTrip() throws {
    let identity = Identity.generate()
    let pem = identity.pem
    #expect(text(pem).hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    let again = try #require(Identity(pem: pem))
    #expect(again.publicKey == identity.publicKey)
    again.seed.withBytes { #expect(identity.seed.matches($0)) }
  }

  /// Written by `openssl genpkey -algorithm ed25519`, its public key by `openssl pkey -text`.
  private static let opensslPEM = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VwBCIEILGPl2fyuBiy3zmtG4H/E0ioVF/nrIfrpek4yU0ANHGy
    -----END PRIVATE KEY-----
    """
  private static let opensslPublicKey =
    "0014ca998b5331c53c85996840d8178e52e0d731c2573e3047cf4dd5c4755198"

  @Test("a key file of OpenSSL is understood")
  func openssl() throws {
    let identity = try #require(Identity(pem: SecretBytes(Array(Self.opensslPEM.utf8))))
    #expect(identity.publicKey.bytes == bytes(Self.opensslPublicKey))
    #expect(text(identity.pem).contains("MC4CAQAwBQYDK2VwBCIEILGPl2fyuBiy3zmtG4H/"))
  }

  @Test("what is no Ed25519 key file is refused")
  func refusals() {
    let p256 = """
      -----BEGIN PRIVATE KEY-----
      MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgP256NOTREALP256NOTREAL
      -----END PRIVATE KEY-----
      """
    let truncated = String(Self.opensslPEM.dropLast(60))
    for text in ["", "hello", p256, truncated] {
      #expect(Identity(pem: SecretBytes(Array(text.utf8))) == nil)
    }
  }

  @Test("a key of another kind is refused, though its file is sound")
  func otherKind() throws {
    let path = Fixture.path("server-key.pem")
    let pem = try #require(Fixture.bytes(at: path))
    #expect(Identity(pem: SecretBytes(pem)) == nil)
  }

  @Test("derived secrets depend on label, context and identity, and on nothing else")
  func derived() {
    func secret(_ identity: Identity, _ label: StaticString, _ context: String = "") -> [UInt8] {
      identity.deriveSecret(label, context: context).withBytes { Array($0) }
    }
    let one = Identity.fixture(1)
    #expect(secret(one, "a") == secret(.fixture(1), "a"))
    #expect(secret(one, "a") != secret(one, "b"))
    #expect(secret(one, "a") != secret(.fixture(2), "a"))
    #expect(secret(one, "a", "x") != secret(one, "a", "y"))
    #expect(secret(one, "a", "bc") != secret(one, "ab", "c"))
    #expect(secret(one, "a").count == 32)
  }

  @Test("a public key is found in its SubjectPublicKeyInfo and nowhere else")
  func subjectPublicKeyInfo() {
    let identity = Identity.fixture(3)
    let info = identity.subjectPublicKeyInfo
    func key(_ bytes: [UInt8]) -> PublicKey? {
      bytes.withUnsafeBytes { PublicKey(subjectPublicKeyInfo: $0) }
    }
    #expect(info.count == 44)
    #expect(key(info) == identity.publicKey)
    for index in 0..<12 {
      var other = info
      other[index] ^= 1
      #expect(key(other) == nil)
    }
    #expect(key(Array(info.dropLast())) == nil && key(info + [0]) == nil && key([]) == nil)
  }

  @Test("a public key has 32 bytes and prints as 52 characters")
  func publicKey() throws {
    #expect(PublicKey([UInt8](repeating: 0, count: 31)) == nil)
    #expect(PublicKey([UInt8](repeating: 0, count: 33)) == nil)
    let key = try #require(PublicKey([UInt8](repeating: 0xff, count: 32)))
    #expect(key.description.utf8.count == 52)
    #expect(Base32.decode(key.description) == key.bytes)
  }
}
