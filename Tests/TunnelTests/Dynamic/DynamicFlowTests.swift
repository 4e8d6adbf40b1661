import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Flows to destinations that the connecting side names, through a simulated network.
@Suite("Dynamic flow")
struct DynamicFlowTests {
  private static let good = SocketAddress(ipv4: 0x0808_0808, port: 443)
  private static let other = SocketAddress(ipv4: 0x0808_0404, port: 443)
  private static let inner = SocketAddress(ipv4: 0x0a00_0001, port: 443)
  private static let metadata = SocketAddress(ipv4: 0xa9fe_a9fe, port: 443)

  private func world(
    _ rules: String = "*:443", configure: (inout TunnelWorld.Options) -> Void = { _ in }
  ) throws -> TunnelWorld {
    let rules = try TargetRules(rules)
    let world = try TunnelWorld {
      $0.services = [Service(name: "out", target: .dynamic(rules))]
      configure(&$0)
    }
    world.targets.onAccept = { $0.echoes = true }
    try world.open()
    return world
  }

  private func wish(
    _ host: String, dialect: ProxyDialect? = nil, early: [UInt8] = []
  ) -> FlowWish {
    let header = FlowHeader(service: "out", destination: Destination(host: host, port: 443))
    return FlowWish(header: header, early: early, dialect: dialect)
  }

  @Test("a name with allowed and denied addresses is reached at the allowed ones alone, in order")
  func mixed() throws {
    let world = try world()
    world.names.addresses["a.example"] = [
      Self.metadata, Self.good, Self.inner, .loopbackIPv4, Self.other,
    ].map { $0.with(port: 0) }
    world.targets.behaviours[Self.good] = .refuses(ECONNREFUSED)
    let program = world.connect(wish("A.Example."))
    program.send([1, 2, 3])
    world.wait { program.received == [1, 2, 3] }
    #expect(world.names.lookups == ["a.example"])
    #expect(world.targets.attempts == [Self.good, Self.other])
  }

  @Test("a name with denied addresses only is not allowed, and nothing is connected to")
  func rebinding() throws {
    let world = try world()
    world.names.addresses["a.example"] = [Self.metadata, Self.inner]
    let program = world.connect(wish("a.example", dialect: .socks5))
    world.wait { program.sawEnd }
    #expect(program.received == ProxyDialect.socks5Reply(0x02))
    #expect(world.targets.attempts.isEmpty)
    #expect(world.linkJournal.reports.map(\.ending) == [.targetNotAllowed])
    #expect(world.shareJournal.reports.map(\.ending) == [.targetNotAllowed])
  }

  @Test("an address of the sharing machine itself is not allowed by *")
  func own() throws {
    let world = try world()
    world.names.own = [Self.good.with(port: 0)]
    let program = world.connect(wish("8.8.8.8"))
    world.wait { program.isOver }
    #expect(world.linkJournal.reports.map(\.ending) == [.targetNotAllowed])
  }

  @Test("an address with a zone is never connected to")
  func zone() throws {
    let world = try world("[fe80::]/10:443")
    let address = SocketAddress(high: 0xfe80 << 48, low: 1, scope: 2, port: 0)
    world.names.addresses["a.example"] = [address]
    let program = world.connect(wish("a.example"))
    world.wait { program.isOver }
    #expect(world.targets.attempts.isEmpty)
  }

  @Test(
    "a destination that no rule allows is refused without a look-up",
    arguments: [
      "b.example", "127.0.0.1", "2130706433", "0x7f.1", "8.8.8.8", "::ffff:127.0.0.1", "a b",
    ])
  func notAllowed(host: String) throws {
    let world = try world("a.example:443,a.example:80")
    let program = world.connect(wish(host))
    world.wait { program.isOver }
    #expect(program.failure == ECONNRESET)
    #expect(world.names.lookups.isEmpty)
    #expect(world.linkJournal.reports.map(\.ending) == [.targetNotAllowed])
  }

  @Test(
    "a proxy's client hears in its own words why it is not served",
    arguments: [
      (ProxyDialect.socks5, "missing.example", ProxyDialect.socks5Reply(4)),
      (.socks5, "10.0.0.1", ProxyDialect.socks5Reply(2)),
      (.socks5, "8.8.8.8", ProxyDialect.socks5Reply(5)),
      (.socks5, "8.8.4.4", ProxyDialect.socks5Reply(4)),
      (.socks4, "10.0.0.1", ProxyDialect.socks4Reply(0x5b)),
      (.connect, "10.0.0.1", Array("HTTP/1.1 403 ".utf8)),
      (.connect, "missing.example", Array("HTTP/1.1 502 ".utf8)),
      (.connect, "8.8.8.8", Array("HTTP/1.1 502 ".utf8)),
      (.forward, "8.8.4.4", Array("HTTP/1.1 504 ".utf8)),
    ])
  func refusals(dialect: ProxyDialect, host: String, words: [UInt8]) throws {
    let world = try world()
    world.targets.behaviours = [
      Self.good: .refuses(ECONNREFUSED), Self.other: .refuses(EHOSTUNREACH),
    ]
    let program = world.connect(wish(host, dialect: dialect))
    // What it sends too early does not keep it from reading the answer.
    program.send([1, 2, 3])
    world.wait { program.sawEnd }
    #expect(program.received.starts(with: words))
    #expect(program.failure == nil)
  }

  @Test(
    "a proxy's client hears of its connection first, and its early bytes come first as well",
    arguments: [ProxyDialect.socks5, .socks4, .connect, .forward])
  func granted(dialect: ProxyDialect) throws {
    let world = try world()
    let program = world.connect(wish("8.8.8.8", dialect: dialect, early: [7, 8]))
    program.send([9])
    world.wait { program.received == dialect.granted + [7, 8, 9] }
    #expect(world.targets.programs[0].received == [7, 8, 9])
    program.finish()
    world.targets.programs[0].finish()
    world.wait { world.linkJournal.reports.count == 1 }
    #expect(world.linkJournal.reports[0].bytesSent == 3)
    #expect(world.linkJournal.reports[0].bytesReceived == 3)
  }

  @Test("without a proxy's dialect nothing waits for the answer")
  func noRoundTrip() throws {
    let world = try world { $0.network = LinkSettings(latency: .milliseconds(50)) }
    let program = world.connect(wish("8.8.8.8"))
    program.send([1], finishing: true)
    let start = world.loop.now
    world.wait { world.targets.programs.first?.sawEnd == true }
    #expect(world.loop.now - start < .milliseconds(60))
    world.targets.programs[0].finish()
    world.wait { program.sawEnd }
    #expect(program.received == [1])
  }

  @Test("a resolver that does not answer is given up after ten seconds")
  func silentResolver() throws {
    let world = try world()
    world.names.latency = nil
    let program = world.connect(wish("a.example", dialect: .socks5))
    world.loop.run(for: .seconds(9))
    #expect(program.received.isEmpty)
    world.wait(.seconds(2)) { program.sawEnd }
    #expect(program.received == ProxyDialect.socks5Reply(4))
    #expect(world.shareJournal.reports.map(\.ending) == [.nameNotFound])
  }

  @Test("an answer of the resolver that comes after the program left connects to nothing")
  func lateAnswer() throws {
    let world = try world()
    world.names.addresses["a.example"] = [Self.good]
    world.names.latency = .seconds(5)
    let program = world.connect(wish("a.example", dialect: .socks5))
    world.wait { world.names.lookups.count == 1 }
    program.reset()
    world.loop.run(for: .seconds(10))
    #expect(world.targets.attempts.isEmpty)
    #expect(world.shareJournal.reports.map(\.ending) == [.remoteReset])
    #expect(world.share.statistics.flowsOpen == 0)
  }

  @Test("a session that ends while a program waits tells it so")
  func sessionLost() throws {
    let world = try world()
    world.names.latency = nil
    let program = world.connect(wish("a.example", dialect: .connect))
    world.wait { world.names.lookups.count == 1 }
    world.share.close()
    world.wait { program.sawEnd }
    #expect(program.received.starts(with: Array("HTTP/1.1 503 ".utf8)))
    #expect(world.linkJournal.reports.map(\.ending) == [.sessionLost])
  }

  @Test("kinds do not mix: neither a destination at a service, nor a service of destinations")
  func mismatch() throws {
    let plain = try TunnelWorld()
    try plain.open()
    let header = FlowHeader(service: "", destination: Destination(host: "8.8.8.8", port: 443))
    let one = plain.connect(FlowWish(header: header))
    plain.wait { one.isOver }
    #expect(plain.targets.attempts.isEmpty)
    #expect(plain.linkJournal.reports.map(\.ending) == [.rejected])
    let dynamic = try world()
    let two = dynamic.connect(to: "out")
    dynamic.wait { two.isOver }
    #expect(dynamic.linkJournal.reports.map(\.ending) == [.rejected])
  }

  @Test("bytes and ends agree at both sides, whatever the pieces", arguments: Seeds.all)
  func transfer(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let world = try world { $0.seed = seed }
    let question = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    let answer = Payload.bytes(Int(random.below(200_000)), seed: random.next())
    world.targets.onAccept = { $0.send(answer, finishing: true) }
    let dialect: ProxyDialect? = random.chance(0.5) ? .socks5 : nil
    let program = world.connect(wish("8.8.8.8", dialect: dialect))
    program.send(question, finishing: true)
    world.wait { program.sawEnd && world.targets.programs.first?.sawEnd == true }
    let received = Array(program.received.dropFirst(dialect?.granted.count ?? 0))
    #expect(Payload.difference(received, answer) == nil)
    #expect(Payload.difference(world.targets.programs.first?.received, question) == nil)
    world.wait { world.linkJournal.reports.count == 1 }
    #expect(world.linkJournal.reports[0].ending == .finished)
  }

  @Test("the kinds of services are known to the connecting side")
  func kinds() throws {
    let world = try TunnelWorld {
      $0.services.append(Service(name: "out", target: .dynamic(try! TargetRules("*:443"))))
    }
    try world.open()
    #expect(world.link.services.map(\.kind) == [.stream, .dynamic])
    #expect(world.link.services.map(\.port) == [3_000, 1_080])
  }
}
