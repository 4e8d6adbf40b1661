import Testing

@testable import Tunnel

@Suite("Proxy credentials")
struct ProxyCredentialsTests {
  @Test("a password may have colons, and neither side may be empty or longer than 255 bytes")
  func form() {
    #expect(
      ProxyCredentials("u:p:q")?.matches(
        user: Array("u".utf8)[...], password: Array("p:q".utf8)[...]) == true)
    let long = String(repeating: "x", count: 256)
    for text in ["", "u", "u:", ":p", ":", "\(long):p", "u:\(long)"] {
      #expect(ProxyCredentials(text) == nil)
    }
  }
}
