import Testing

@testable import qtun

@Suite("NamedPlace")
struct NamedPlaceTests {
  private func parse(_ text: String) throws(ValueProblem) -> NamedPlace {
    try NamedPlace.parse(text, rule: .service)
  }

  @Test(
    "a written place reads the same again",
    arguments: [
      "db:5432", "web=db:5432", "unix:/run/a.sock", "a.b-c_1=unix:/x", "[::1]:80", "dir:./site",
      "site=dir:/a=b", "dynamic:*:443", "out=dynamic:*.example.com:80-443,[2001:db8::]/32:*",
      "udp:db:53", "dns=udp:[::1]:53",
    ])
  func roundTrip(text: String) throws {
    #expect(try parse(text).description == text)
  }

  @Test("an equals sign behind a colon or slash belongs to the path")
  func equalsInPath() throws {
    #expect(try parse("unix:/run/a=b") == NamedPlace(name: nil, place: .unix("/run/a=b")))
    #expect(try parse("n=unix:a=b") == NamedPlace(name: "n", place: .unix("a=b")))
  }

  @Test(
    "a bad name or place is refused",
    arguments: [
      "=80", "-a=80", "a b=80", "unix:", "a=", "a=unix:", "é=80", "dir:", "a=dir:", "dynamic:",
      "dynamic:*", "dynamic:a:443,", "dynamic:10.0.0.1/8:22",
    ])
  func refused(text: String) {
    #expect(throws: ValueProblem.self) { try parse(text) }
  }

  @Test("a folder or rules are nothing to listen at", arguments: ["dir:/a", "x=dynamic:*:443"])
  func notLocal(text: String) {
    #expect(throws: ValueProblem.self) { try NamedPlace.parse(text, rule: .localListener) }
  }

  @Test("a UDP place follows the rules of a TCP one")
  func udp() throws {
    let place = Place.udp(HostPort(host: .name("localhost"), port: 53))
    #expect(try parse("udp:53") == NamedPlace(name: nil, place: place))
    #expect(try parse("dns=udp:53") == NamedPlace(name: "dns", place: place))
    for text in ["udp:", "udp:0", "udp:host", "udp://host:53", "udp:65536"] {
      #expect(throws: ValueProblem.self) { try parse(text) }
    }
  }

  @Test("the longest path that a socket can have passes, one byte more is refused")
  func pathLength() throws {
    let path = String(repeating: "p", count: 107)
    #expect(try parse("unix:\(path)").place == .unix(path))
    #expect(throws: ValueProblem.self) { try parse("unix:\(path)p") }
  }
}
