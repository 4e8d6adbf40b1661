import Testing

@testable import Tunnel

@Suite("Destination")
struct DestinationTests {
  @Test(
    "an authority has a host and a port",
    arguments: [
      ("example.com:443", "example.com", 443), ("[2001:db8::1]:22", "2001:db8::1", 22),
      ("192.0.2.1:1", "192.0.2.1", 1), ("a:65535", "a", 65_535), ("[::]:080", "::", 80),
    ])
  func good(text: String, host: String, port: UInt16) {
    #expect(Destination(text) == Destination(host: host, port: port))
  }

  @Test(
    "what is none is refused",
    arguments: [
      "", ":", ":80", "a", "a:", "a:0", "a:65536", "a:99999", "a:+1", "a:-1", "a: 1", "a:1 ",
      "a:1:2", "::1:22", "[::1]", "[::1]22", "[]:1", "[a]:1", "[::1:1", "::1]:1", "u@a:1",
      "a/b:1", "a b:1", "a\n:1", "a?:1", "a#:1", "a\\:1", "http://a:1", "[[::1]]:1", "<a>:1",
      String(repeating: "h", count: 256) + ":1",
    ])
  func bad(text: String) {
    #expect(Destination(text) == nil)
  }

  @Test("its description reads back")
  func roundTrip() {
    for host in ["example.com", "192.0.2.1", "2001:db8::1"] {
      let destination = Destination(host: host, port: 443)
      #expect(Destination(destination.description) == destination)
    }
  }
}
