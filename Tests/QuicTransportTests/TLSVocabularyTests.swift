import QuicTransport
import Simulation
import Testing

@Suite("Base32")
struct Base32Tests {
  @Test(
    "RFC 4648 §10, in lower case and without padding",
    arguments: [
      ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"),
      ("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi"),
    ])
  func vectors(_ plain: String, _ encoded: String) {
    #expect(Base32.encode(Array(plain.utf8)) == encoded)
    #expect(Base32.decode(encoded) == Array(plain.utf8))
    #expect(Base32.decode(encoded.uppercased()) == Array(plain.utf8))
  }

  @Test(
    "what no encoder writes is refused",
    arguments: ["m", "mzx", "mzxw6y", "mz", "my======", "m1", "m0", "m8", "my ", "mÿ"])
  func refusals(_ text: String) {
    #expect(Base32.decode(text) == nil)
  }

  @Test("random bytes survive the round trip", arguments: Seeds.all)
  func roundTrip(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for count in 0..<100 {
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      #expect(Base32.decode(Base32.encode(bytes)) == bytes)
    }
  }
}

@Suite("SecretBytes")
struct SecretBytesTests {
  @Test("it never prints what it holds")
  func printing() {
    let secret = SecretBytes(Array("hunter2".utf8))
    #expect("\(secret)" == "<secret>")
    #expect(!String(reflecting: secret).contains("hunter2"))
    #expect(!String(describing: Identity.fixture(7)).contains("7, 7, 7"))
  }

  @Test("comparing looks at every byte and at the length")
  func comparing() {
    let secret = SecretBytes([1, 2, 3])
    func matches(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { secret.matches($0) } }
    #expect(matches([1, 2, 3]))
    #expect(!matches([1, 2, 4]) && !matches([0, 2, 3]) && !matches([1, 2]))
    #expect(!matches([1, 2, 3, 0]) && !matches([]))
  }

  @Test("an empty secret is possible")
  func empty() {
    #expect(SecretBytes([]).count == 0)
    #expect([].withUnsafeBytes { SecretBytes([]).matches($0) })
  }
}

@Suite("Crypto")
struct CryptoTests {
  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test("SHA-256 of FIPS 180-2, appendix B")
  func sha256() {
    #expect(
      hex(Crypto.sha256(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      hex(Crypto.sha256([]))
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test("HMAC-SHA-256 of RFC 4231, cases 1, 2 and 6")
  func hmac() {
    let first = SecretBytes([UInt8](repeating: 0x0b, count: 20))
    #expect(
      hex(Crypto.hmacSHA256(key: first, Array("Hi There".utf8)))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    let second = SecretBytes(Array("Jefe".utf8))
    #expect(
      hex(Crypto.hmacSHA256(key: second, Array("what do ya want for nothing?".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    let sixth = SecretBytes([UInt8](repeating: 0xaa, count: 131))
    let text = "Test Using Larger Than Block-Size Key - Hash Key First"
    #expect(
      hex(Crypto.hmacSHA256(key: sixth, Array(text.utf8)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }

  @Test("random bytes have the wanted number and differ")
  func random() {
    #expect(Crypto.random(0).isEmpty)
    let one = Crypto.random(32)
    #expect(one.count == 32 && one != Crypto.random(32))
  }
}
