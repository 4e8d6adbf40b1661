import QuicTransport
import Testing

@testable import Tunnel

@Suite("Target rules")
struct TargetRulesTests {
  private func permits(
    _ rules: String, _ address: String, port: UInt16 = 443, name: String? = nil, isOwn: Bool = false
  ) throws -> Bool {
    let address = try #require(SocketAddress(address, port: port), "\(address)")
    return try TargetRules(rules).permits(address, name: name, isOwn: isOwn)
  }

  /// Every address here reaches this machine, its neighbours, or something that gives secrets away.
  static let denied = [
    // this machine
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::", "::1",
    // private, shared, link-local, site-local, unique local
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1",
    "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1",
    // metadata
    "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
    "168.63.129.16", "192.0.0.192",
    // multicast, broadcast, reserved, assignments, benchmarks
    "224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255", "240.0.0.1", "192.0.0.1",
    "198.18.0.1", "198.19.255.255",
    // the same in another form: mapped, compatible, translated, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::8.8.8.8",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:a00:1::",
    "2002:c0a8:101::1", "2001::1",
  ]

  @Test(
    "what is not public is denied to every rule about names, and to wide networks",
    arguments: denied)
  func deniedByDefault(address: String) throws {
    let wide = "*:*,rebind.example:*,*.example:*,0.0.0.0/0:*,[::]/0:*"
    #expect(try !permits(wide, address, name: "rebind.example"))
    #expect(try !permits(wide, address))
  }

  @Test(
    "a public address is allowed by name and by *",
    arguments: [
      "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8",
      "2002:808:808::1",
    ])
  func publicAddresses(address: String) throws {
    #expect(try permits("*:443", address))
    #expect(try permits("a.example:443", address, name: "a.example"))
    #expect(try !permits("a.example:443", address, name: "b.example"))
    #expect(try !permits("a.example:443", address))
  }

  @Test(
    "a rule for a network inside of a closed one opens it",
    arguments: [
      ("10.0.0.0/8:443", "10.1.2.3"), ("10.1.0.0/16:443", "10.1.2.3"),
      ("127.0.0.1:443", "127.0.0.1"), ("127.0.0.0/8:443", "127.8.8.8"),
      ("[fd00:1::]/32:443", "fd00:1::5"), ("[::1]:443", "::1"),
      ("192.168.1.20:443", "192.168.1.20"),
      ("169.254.169.254:443", "169.254.169.254"), ("10.0.0.0/8:443", "::ffff:10.0.0.1"),
      ("[64:ff9b::a00:0]/104:443", "64:ff9b::10.0.0.1"), ("[2002:a00::]/24:443", "2002:a00:1::"),
    ])
  func opened(rule: String, address: String) throws {
    #expect(try permits(rule, address))
    #expect(try permits(rule, address, name: "whatever.example"))
    #expect(try !permits(rule, address, port: 444))
  }

  @Test(
    "a network around a closed one does not open it",
    arguments: [
      ("8.0.0.0/6:443", "10.1.2.3"), ("169.254.0.0/16:443", "169.254.169.254"),
      ("[fc00::]/7:443", "fd00:ec2::254"), ("100.64.0.0/10:443", "100.100.100.200"),
      ("[64:ff9b::]/96:443", "64:ff9b::10.0.0.1"), ("[2002::]/16:443", "2002:7f00:1::"),
      ("240.0.0.0/4:443", "255.255.255.255"),
    ])
  func around(rule: String, address: String) throws {
    #expect(try !permits(rule, address))
  }

  @Test("the machine's own public address needs a rule for that address")
  func own() throws {
    #expect(try permits("*:443", "8.8.8.8"))
    #expect(try !permits("*:443", "8.8.8.8", isOwn: true))
    #expect(try !permits("8.8.8.0/24:443", "8.8.8.8", isOwn: true))
    #expect(try permits("8.8.8.8:443", "8.8.8.8", isOwn: true))
  }

  @Test("wildcards are for names below, at any depth")
  func below() throws {
    let rule = "*.example.com:443"
    #expect(try permits(rule, "8.8.8.8", name: "a.example.com"))
    #expect(try permits(rule, "8.8.8.8", name: "b.a.example.com"))
    #expect(try !permits(rule, "8.8.8.8", name: "example.com"))
    #expect(try !permits(rule, "8.8.8.8", name: "badexample.com"))
    #expect(try !permits(rule, "8.8.8.8", name: "a.example.com.evil.example"))
    #expect(try !permits(rule, "8.8.8.8"))
  }

  @Test(
    "ports are one, a range or all",
    arguments: [
      ("80", [80], [79, 81]), ("80-90", [80, 85, 90], [79, 91]), ("*", [1, 65_535], []),
    ])
  func ports(ports: String, inside: [UInt16], outside: [UInt16]) throws {
    for port in inside { #expect(try permits("*:\(ports)", "8.8.8.8", port: port)) }
    for port in outside { #expect(try !permits("*:\(ports)", "8.8.8.8", port: port)) }
  }

  @Test("a name is looked up only where an address behind it could be allowed")
  func mayPermit() throws {
    #expect(try TargetRules("10.0.0.0/8:22").mayPermit("a", port: 22))
    #expect(try !TargetRules("10.0.0.0/8:22").mayPermit("a", port: 23))
    #expect(try TargetRules("a:22").mayPermit("a", port: 22))
    #expect(try !TargetRules("a:22").mayPermit("b", port: 22))
  }

  @Test("rules about names take any case and a final dot")
  func normalized() throws {
    #expect(try permits("Example.COM.:443", "8.8.8.8", name: "example.com"))
  }

  @Test(
    "what cannot be read is refused, with the rule",
    arguments: [
      "", ",", "a:1,", "a", "a:", "a:0", "a:65536", "a:2-1", "a:1-", "a:-1", "a:1-2-3", "a:x",
      "a:*1",
      "**:1", "*.*:1", "a.*:1", "*a.b:1", "*.:1", "::1:22", "[::1]/129:1", "[::1]x:1", "[a]:1",
      "[10.0.0.0]/8:1", "10.0.0.1/8:1", "10.1:1", "0x7f.1:1", "1.2.3.4.5:1", "bücher:1", "a b:1",
    ])
  func malformed(text: String) {
    #expect(throws: TargetRuleError.self) { try TargetRules(text) }
  }

  @Test("the number of rules is bounded")
  func bounded() throws {
    let rules = { (count: Int) in Array(repeating: "a:1", count: count).joined(separator: ",") }
    _ = try TargetRules(rules(TargetRules.countMax))
    #expect(throws: TargetRuleError.tooMany) { try TargetRules(rules(TargetRules.countMax + 1)) }
  }
}
