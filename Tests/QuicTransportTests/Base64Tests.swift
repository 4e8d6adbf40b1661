import QuicTransport
import Testing

@Suite("Base64")
struct Base64Tests {
  @Test(
    "RFC 4648 §10",
    arguments: [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
  func vectors(text: String, encoded: String) {
    #expect(Base64.encode(Array(text.utf8)) == encoded)
    #expect(Base64.characters(of: Array(text.utf8)) == Array(encoded.utf8))
    #expect(encoded.utf8.prefix { $0 != UInt8(ascii: "=") }.allSatisfy(Base64.isDigit))
  }

  @Test("SHA-1 of the RFC 6455 example")
  func sha1() {
    let text = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    #expect(Base64.encode(Crypto.sha1(Array(text.utf8))) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }
}
