import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

@Suite("HTTP/3 that ends at a relay", .timeLimit(.minutes(1)))
struct HTTP3DoorTests {
  private func world(
    _ configure: (inout PublicWorld.Options) -> Void = { _ in }
  ) throws -> (PublicWorld, PublicNode) {
    let world = try PublicWorld {
      $0.hasDoor = true
      $0.hasHTTPS = true
      $0.names = ["*.test"]
      configure(&$0)
    }
    return (world, try world.share(1, kind: .http, name: "server.test"))
  }

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test("a request reaches the share as HTTP/1.1, and its answer comes back")
  func request() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    try #require(visitor.isReady)
    let exchange = try visitor.ask("/x", fields: [HTTP3Field("user-agent", "t")])
    world.settle()
    let target = try #require(node.targets.programs.first)
    #expect(
      text(target.received)
        == "GET /x HTTP/1.1\r\nHost: server.test\r\nuser-agent: t\r\nConnection: close\r\n\r\n")
    #expect(!target.sawEnd)
    target.send(
      Array(
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "5\r\nhello\r\n0\r\n\r\n").utf8))
    world.settle()
    #expect(exchange.heads.map { $0.first?.text } == ["100", "200"])
    #expect(text(exchange.body) == "hello" && exchange.isComplete && exchange.resetCode == nil)
    #expect(target.sawEnd)
    target.finish()
    world.settle()
    #expect(world.listeners.visitorsOpen == 0)
    #expect(node.journal.reports.map(\.ending) == [.finished])
  }

  @Test("many requests of one connection, with bodies both ways, do not mix")
  func many() throws {
    let (world, node) = try world()
    node.targets.onAccept = { $0.echoes = true }
    let visitor = try HTTP3Visitor(world)
    // The target echoes the request, which is an answer when it begins like one.
    let exchanges = try (0..<40).map { number in
      try visitor.ask("/\(number)", method: "POST", body: Array("body \(number)".utf8))
    }
    world.settle()
    #expect(node.targets.programs.count == 40)
    let requests = Set(node.targets.programs.map { text($0.received) })
    for number in 0..<40 {
      let body = "body \(number)"
      #expect(
        requests.contains(
          "POST /\(number) HTTP/1.1\r\nHost: server.test\r\nTransfer-Encoding: chunked\r\n"
            + "Connection: close\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
        ))
    }
    // A request is no answer: its visitor hears that the share does not answer.
    #expect(exchanges.allSatisfy { $0.status == "502" && $0.isComplete })
    // These targets do not close, though they were asked to.
    world.settle(.seconds(6))
    #expect(world.listeners.visitorsOpen == 0)
  }

  @Test("a slow visitor stops the share, a slow share the visitor, and the rest follows")
  func backPressure() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    let size = 16 << 20
    let up = [UInt8](repeating: 7, count: size)
    node.targets.onAccept = { $0.reads = false }
    let exchange = try visitor.ask(
      method: "POST", fields: [HTTP3Field("content-length", String(size))], body: up)
    exchange.reads = false
    world.settle(.seconds(5))
    let target = try #require(node.targets.programs.first)
    #expect(exchange.sentCount < 8 << 20)
    target.reads = true
    _ = world.loop.run(for: .seconds(60)) { target.received.count > size }
    #expect(target.received.suffix(size).elementsEqual(up))
    let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n".utf8)
    target.send(head + up)
    world.settle(.seconds(5))
    #expect(target.sentCount < 10 << 20)
    #expect(exchange.body.isEmpty)
    visitor.resume(exchange)
    _ = world.loop.run(for: .seconds(60)) { exchange.isComplete }
    #expect(exchange.body == up)
    target.finish()
    world.settle()
    #expect(world.listeners.visitorsOpen == 0)
  }

  @Test("hosts that are nobody's, not the certificate's, or TLS of their own are not served")
  func hosts() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    let other = try visitor.ask(host: "other.test")
    let upper = try visitor.ask(host: "SERVER.test:443")
    world.settle()
    #expect(other.status == "421" && other.isComplete)
    #expect(node.targets.programs.count == 1 && upper.heads.isEmpty)
    let secure = try world.share(2, kind: .tls, name: "server.test")
    let hidden = try visitor.ask()
    world.settle()
    #expect(hidden.status == "421" && secure.targets.programs.isEmpty)
    secure.client.close()
    node.client.close()
    world.settle()
    let nobody = try visitor.ask()
    world.settle()
    #expect(nobody.status == "404" && text(nobody.body).contains("nobody shares server.test"))
  }

  @Test("what breaks on one side breaks on the other")
  func breaking() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    let cancelled = try visitor.ask(
      "/1", method: "POST", body: [UInt8](repeating: 1, count: 1 << 20))
    world.settle()
    visitor.cancel(cancelled)
    world.settle()
    #expect(node.targets.programs[0].failure != nil || node.targets.programs[0].isOver)
    let half = try visitor.ask("/2")
    world.settle()
    node.targets.programs[1].send(
      Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".utf8), finishing: true)
    world.settle()
    #expect(!half.isComplete)
    #expect(half.resetCode == HTTP3Code.internalError.rawValue)
    let silent = try visitor.ask("/3")
    world.settle()
    node.targets.programs[2].reset()
    world.settle()
    #expect(silent.status == "502" && silent.isComplete)
    _ = try visitor.ask("/4")
    world.settle()
    visitor.shutDown()
    world.settle(.seconds(70))
    #expect(node.targets.programs[3].isOver && world.listeners.visitorsOpen == 0)
  }

  @Test("a body that is not as long as it said reaches nobody as a whole request")
  func lengths() throws {
    let (world, node) = try world()
    for (length, body) in [("3", "abcd"), ("5", "abcd")] {
      let visitor = try HTTP3Visitor(world, host: SocketAddress(ipv4: 0xcb00_7107, port: 0))
      let exchange = try visitor.ask(
        method: "POST", fields: [HTTP3Field("content-length", length)], body: Array(body.utf8))
      world.settle()
      #expect(!exchange.isComplete)
      #expect(node.targets.programs.allSatisfy { !text($0.received).contains("abcd") || $0.isOver })
      visitor.shutDown()
    }
  }

  @Test("who says no head, or nothing at all, does not stay")
  func slow() throws {
    let (world, _) = try world { $0.limits.undecidedPerSourceMax = 2 }
    let visitor = try HTTP3Visitor(world)
    let stuck = try visitor.open(saying: [0x01, 0x40])
    world.settle(.seconds(9))
    #expect(stuck.resetCode == nil)
    world.settle(.seconds(2))
    #expect(stuck.resetCode == HTTP3Code.requestRejected.rawValue)
    let second = try HTTP3Visitor(world, host: .otherHost.with(port: 7))
    let third = try HTTP3Visitor(world, host: .otherHost.with(port: 8))
    #expect(second.isReady && !third.isReady)
    world.settle(.seconds(70))
    #expect(visitor.error != nil && second.error != nil)
    let next = try HTTP3Visitor(world, host: .otherHost.with(port: 9))
    #expect(next.isReady)
  }

  @Test("an idle visitor hears of the end; a request that crosses it may be repeated")
  func farewell() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world, keepsAlive: true)
    let get: [UInt8] =
      [
        // HEADERS: GET, https and /, which the static table has, then the authority.
        0x01, 18, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 11,
      ] + Array("server.test".utf8)
    world.settle(.milliseconds(60_100))
    #expect(visitor.refusals == [(1 << 62) - 4] && visitor.error == nil)
    // What had left before the advice came.
    let early = try visitor.open(saying: get)
    early.stream?.finish()
    world.settle(.milliseconds(1_500))
    #expect(visitor.refusals == [(1 << 62) - 4, 4] && node.targets.programs.count == 1)
    let late = try visitor.open(saying: get)
    world.settle(.milliseconds(200))
    #expect(late.resetCode == HTTP3Code.requestRejected.rawValue)
    #expect(late.stopCode == HTTP3Code.requestRejected.rawValue)
    world.settle(.seconds(5))
    #expect(visitor.error == nil && node.targets.programs.count == 1)
    node.targets.programs[0].send(
      Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8), finishing: true)
    world.settle(.seconds(2))
    #expect(early.body.suffix(4) == [0, 2] + Array("ok".utf8))
    #expect(visitor.error?.applicationCode == HTTP3Code.noError.rawValue)
    #expect(world.listeners.visitorsOpen == 0)
  }

  @Test("a relay that stops tells which requests it has not seen")
  func stop() throws {
    let (world, _) = try world()
    let visitor = try HTTP3Visitor(world)
    _ = try visitor.ask()
    world.settle()
    world.listeners.close()
    world.settle()
    #expect(visitor.refusals == [4])
    #expect(visitor.error?.applicationCode == HTTP3Code.noError.rawValue)
  }

  @Test("fields beyond the bound are answered, not kept")
  func large() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    let long = [UInt8](repeating: 0x61, count: 20_000)
    let many = (0..<4).map { HTTP3Field("x-\($0)", long) }
    let beyond = try visitor.ask(fields: many)
    let longer = try visitor.ask(fields: [HTTP3Field("x", long)])
    world.settle()
    #expect(beyond.status == "431" && longer.status == "431")
    #expect(node.targets.programs.isEmpty)
  }

  @Test("what no visitor needs to tell ahead is not kept")
  func priorities() throws {
    let (world, _) = try world()
    func tell(_ visitor: HTTP3Visitor, about number: UInt8...) throws {
      // RFC 9218 §7.2: PRIORITY_UPDATE on the control stream, its first.
      let control = visitor.connection?.streams[StreamID(number: 2)]
      try control?.write([0x80, 0x0f, 0x07, 0x00, UInt8(number.count)] + number)
      world.settle()
    }
    let visitor = try HTTP3Visitor(world)
    // Stream 396, the last of the first hundred.
    try tell(visitor, about: 0x41, 0x8c)
    #expect(visitor.error == nil)
    try tell(visitor, about: 0x41, 0x90)
    #expect(visitor.error?.applicationCode == 0x108)
    // Each request makes room for one more.
    let other = try HTTP3Visitor(world, host: .otherHost.with(port: 7))
    _ = try other.ask()
    world.settle()
    try tell(other, about: 0x41, 0x90)
    #expect(other.error == nil)
  }

  @Test("unfinished heads are bounded for all streams of a visitor together")
  func unfinished() throws {
    let (world, _) = try world()
    let visitor = try HTTP3Visitor(world)
    // HEADERS of 60,000 bytes, of which `age: 0` from the static table comes 900 times.
    let head = [0x01, 0x80, 0x00, 0xea, 0x60, 0, 0] + [UInt8](repeating: 0xc2, count: 900)
    for _ in 0..<8 { _ = try visitor.open(saying: head) }
    world.settle()
    #expect(visitor.error == nil)
    _ = try visitor.open(saying: head)
    world.settle()
    #expect(visitor.error?.applicationCode == HTTP3Code.excessiveLoad.rawValue)
  }

  @Test("announcements without end are not passed on without end, and the answer is")
  func announcements() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    let exchange = try visitor.ask()
    world.settle()
    let target = try #require(node.targets.programs.first)
    let hints = String(repeating: "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", count: 10_000)
    target.send(Array((hints + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").utf8))
    world.settle(.seconds(5))
    #expect((2...17).contains(exchange.heads.count))
    #expect(exchange.status == "200" && text(exchange.body) == "ok" && exchange.isComplete)
  }

  @Test("several announcements and a short body that wait together arrive as they were")
  func waiting() throws {
    let (world, node) = try world()
    let visitor = try HTTP3Visitor(world)
    // The first answer takes all of the visitor's window, so that others wait.
    let exchanges = try (0..<3).map { try visitor.ask("/\($0)") }
    world.settle()
    let hints = String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 12)
    for (number, target) in node.targets.programs.enumerated() {
      let body = String(repeating: "\(number)", count: 3_000)
      target.send(Array("\(hints)HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n\(body)".utf8))
    }
    world.settle(.seconds(5))
    for exchange in exchanges {
      #expect(exchange.isComplete && exchange.body.count == 3_000)
      #expect(Set(exchange.body).count == 1)
    }
    #expect(Set(exchanges.compactMap(\.body.first)).count == 3)
  }

  @Test("who wants no answer is not read any more")
  func stopped() throws {
    let (world, node) = try world()
    node.targets.onAccept = { $0.reads = false }
    let visitor = try HTTP3Visitor(world)
    let exchange = try visitor.ask(method: "POST", body: [UInt8](repeating: 1, count: 4 << 20))
    world.settle()
    exchange.stream?.stopReceiving(code: HTTP3Code.requestCancelled.rawValue)
    world.settle(.seconds(5))
    #expect(exchange.stopCode == HTTP3Code.requestCancelled.rawValue)
    #expect(world.listeners.visitorsOpen == 0)
  }

  @Test(
    "answers of the relay's own to HEAD have no body", arguments: ["other.test", "server.test"])
  func head(host: String) throws {
    let (world, node) = try world()
    node.targets.onAccept = { $0.send(Array("no answer\r\n\r\n".utf8), finishing: true) }
    let visitor = try HTTP3Visitor(world)
    let exchange = try visitor.ask(host: host, method: "HEAD")
    world.settle()
    #expect(exchange.status == (host == "other.test" ? "421" : "502"))
    #expect(exchange.isComplete && exchange.body.isEmpty && exchange.resetCode == nil)
  }

  @Test("a visitor by HTTPS is told of it; without UDP's port it is HTTPS alone")
  func port() throws {
    let (world, _) = try world()
    #expect(world.listeners.http3?.advertisement == "h3=\":8443\"; ma=3600")
    world.listeners.close()
    world.settle()
    #expect(world.listeners.http3 == nil)
  }
}
