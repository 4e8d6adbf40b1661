import Testing

@testable import qtun

@Suite("HostPort")
struct HostPortTests {
  @Test(
    "a service is a port, or a host and a port",
    arguments: [
      ("3000", "localhost:3000"), ("65535", "localhost:65535"),
      ("db.internal:5432", "db.internal:5432"),
      ("my_app-1:80", "my_app-1:80"), ("192.0.2.1:22", "192.0.2.1:22"), ("[::1]:80", "[::1]:80"),
      ("[2001:db8::7]:443", "[2001:db8::7]:443"), ("Host.example.:1", "Host.example.:1"),
    ])
  func service(text: String, expected: String) throws {
    #expect(try HostPort.parse(text, rule: .service).description == expected)
  }

  @Test("the kind of host is told apart")
  func kinds() throws {
    #expect(try HostPort.parse("a:1", rule: .service).host == .name("a"))
    #expect(try HostPort.parse("10.0.0.1:1", rule: .service).host == .ipv4("10.0.0.1"))
    #expect(try HostPort.parse("[::]:1", rule: .service).host == .ipv6("::"))
  }

  @Test("each listener has its own default address, and may ask for a free port")
  func listeners() throws {
    #expect(try HostPort.parse("0", rule: .localListener).description == "127.0.0.1:0")
    #expect(try HostPort.parse("4433", rule: .publicListener).description == "[::]:4433")
    #expect(try HostPort.parse("localhost:8", rule: .localListener).host == .ipv4("127.0.0.1"))
  }

  @Test(
    "what is not a service is refused with its cause",
    arguments: [
      ("", "has no port"), ("abc", "has no port"), ("example.com", "has no port"),
      ("0", "is out of the range of ports"), ("65536", "is out of the range of ports"),
      ("99999999999999999999", "is out of the range of ports"), ("-1", "has no port"),
      ("a:", "is not a port"), ("a:b", "is not a port"), ("a:+5", "is not a port"),
      (":3000", "has no host before the colon"), ("::1:3000", "has more than one colon"),
      ("[::1:3000", "has no closing bracket"), ("[::1]3000", "has no port"),
      ("[::1]", "has no port"),
      ("[::1]:", "is not a port"), ("[127.0.0.1]:1", "has no IPv6 address in its brackets"),
      ("256.0.0.1:1", "is not an IPv4 address"), ("1.2.3:1", "is not an IPv4 address"),
      ("-a:1", "is not a host name"), ("a..b:1", "is not a host name"),
      ("a b:1", "is not a host name"),
      ("http://a:1/x", "is a URL"), ("٣:1", "is not a host name"),
    ])
  func refused(text: String, cause: String) {
    let error = #expect(throws: ValueProblem.self) {
      try HostPort.parse(text, rule: .service)
    }
    #expect(error?.cause.hasSuffix(" \(cause)") == true, "\(error?.cause ?? "")")
    #expect(error?.fix.isEmpty == false)
  }

  @Test("a name is not an address to listen on")
  func nameToListenOn() {
    let error = #expect(throws: ValueProblem.self) {
      try HostPort.parse("example.com:80", rule: .localListener)
    }
    #expect(error?.cause == "\"example.com\" is not an address to listen on")
  }

  @Test("the fix for a URL is its host and port")
  func urlFix() {
    let error = #expect(throws: ValueProblem.self) {
      try HostPort.parse("http://localhost:3000/a?b", rule: .service)
    }
    #expect(error?.fix == "write only host and port, such as localhost:3000")
  }

  @Test("what is printed can be read again", arguments: ["a:1", "192.0.2.1:2", "[fe80::1]:3"])
  func roundTrip(text: String) throws {
    let parsed = try HostPort.parse(text, rule: .service)
    #expect(try HostPort.parse(parsed.description, rule: .service) == parsed)
  }
}
