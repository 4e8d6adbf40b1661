import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Through an HTTP proxy")
struct ProxyConnectionTests {
  private static let proxyAddress = SocketAddress(ipv4: 0x0a00_0001, port: 3_128)
  private static let target = SocketAddress("192.0.2.1", port: 443)!

  /// A connection through a proxy whose program is the test.
  private final class World: StreamSocketHandler {
    let loop = SimLoop()
    let connection: ProxyConnection
    private(set) var connected = 0
    private(set) var failures = 0
    private(set) var received: [UInt8] = []
    private let programs: Programs

    /// The proxy's ends of the connections to it.
    private final class Programs {
      var all: [LocalProgram] = []
      var refusalsLeft: Int

      init(refusing refused: Int) { refusalsLeft = refused }
    }

    init(refusing refused: Int = 0, credentials: String? = nil) throws {
      let loop = loop
      let proxy = HTTPProxy(
        addresses: [proxyAddress.with(port: 1), proxyAddress],
        credentials: credentials.map { SecretBytes(Array($0.utf8)) }, exceptions: [])
      let programs = Programs(refusing: refused)
      self.programs = programs
      connection = try ProxyConnection(to: target, through: proxy, loop: loop) { _ in
        if programs.refusalsLeft > 0 {
          programs.refusalsLeft -= 1
          return SimStreamSocket.failing(
            loop: loop, code: ECONNREFUSED, latency: .milliseconds(5))
        }
        let (near, far) = SimStreamSocket.connecting(
          loop: loop, capacity: 65_536, latency: .milliseconds(5))
        programs.all.append(LocalProgram(far))
        return near
      }
      connection.handler = self
      loop.run(for: .milliseconds(100))
    }

    var proxies: [LocalProgram] { programs.all }
    var request: String { String(decoding: proxies.first?.received ?? [], as: UTF8.self) }

    func answer(_ text: String) {
      proxies[0].send(Array(text.utf8))
      loop.run(for: .milliseconds(100))
    }

    func streamSocketConnected() { connected += 1 }
    func streamSocketFailed(_ code: Int32) { failures += 1 }
    func streamSocketReady(_ readiness: Readiness) {
      withUnsafeTemporaryAllocation(byteCount: 7, alignment: 1) { buffer in
        while case .moved(let count) = connection.read(into: buffer) {
          received.append(contentsOf: buffer[..<count])
        }
      }
    }
  }

  @Test("a connection opens with the proxy's 200, and what follows the head is the peer's")
  func opens() throws {
    let world = try World()
    #expect(
      world.request == "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n")
    for character in "HTTP/1.1 200 OK\r\nVia: x\r\n\r" { world.answer(String(character)) }
    #expect(world.connected == 0)
    world.answer("\nhello, and more than fits")
    #expect(world.connected == 1 && world.failures == 0)
    #expect(world.received == Array("hello, and more than fits".utf8))
    world.answer(" later")
    #expect(world.received.count == 31)
    world.loop.run(for: .seconds(30))
    #expect(world.failures == 0)
  }

  @Test("credentials are sent as Basic")
  func credentials() throws {
    let world = try World(credentials: "Aladdin:open sesame")
    // RFC 7617 §2 has this pair.
    #expect(
      world.request.contains("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"))
  }

  @Test("the proxy's next address is tried when one refuses")
  func nextAddress() throws {
    let world = try World(refusing: 1)
    world.answer("HTTP/1.0 200 \r\n\r\n")
    #expect(world.connected == 1)
    let refused = try World(refusing: 2)
    #expect(refused.failures == 1)
    #expect(refused.connection.failure == .unreachable(code: ECONNREFUSED))
  }

  @Test(
    "every other answer is one failure that says what it was",
    arguments: [
      ("HTTP/1.1 407 Auth\r\n\r\n", ProxyError.credentialsMissing),
      ("HTTP/1.1 403 Not this port\r\n\r\n", .refused(status: 403, reason: "Not this port")),
      ("HTTP/1.1 502\r\n\r\n", .refused(status: 502, reason: "")),
      ("SSH-2.0-OpenSSH_9\r\n\r\n", .malformed),
      ("HTTP/1.1 20x OK\r\n\r\n", .malformed),
      ("HTTP/1.1 200 OK\r\n" + String(repeating: "A: b\r\n", count: 3_000), .malformed),
      ("", .silent),
      ("HTTP/1.1 200 OK\r\n", .silent),
    ])
  func failures(answer: String, error: ProxyError) throws {
    let world = try World()
    if !answer.isEmpty { world.answer(answer) }
    world.loop.run(for: .seconds(5))
    #expect(world.failures == 1 && world.connected == 0)
    #expect(world.connection.failure == error)
    #expect(world.received.isEmpty)
  }

  @Test("credentials that do not suit, and a proxy that hangs up")
  func otherFailures() throws {
    let refused = try World(credentials: "a:b")
    refused.answer("HTTP/1.1 407 \r\n\r\n")
    #expect(refused.connection.failure == .credentialsRefused)
    let closed = try World()
    closed.proxies[0].finish()
    closed.loop.run(for: .seconds(1))
    #expect(closed.connection.failure == .closed && closed.failures == 1)
  }

  @Test("a peer among the exceptions is dialled straight")
  func exception() throws {
    let proxy = HTTPProxy(
      addresses: [Self.proxyAddress], credentials: nil,
      exceptions: [AddressRange(TunnelWorld.shareAddress, bits: 32)!])
    let world = try TunnelWorld { options in
      options.tcpPasses = true
      options.carriers = .only(.tcp)
      options.proxy = proxy
    }
    try world.open()
    #expect(world.tcp.dialled == [TunnelWorld.shareAddress])
  }

  @Test("ranges contain what begins with their bits")
  func ranges() throws {
    func range(_ text: String, _ bits: Int) throws -> AddressRange {
      let base = try #require(SocketAddress(text, port: 0))
      return try #require(AddressRange(base, bits: bits))
    }
    func contains(_ range: AddressRange, _ text: String) throws -> Bool {
      range.contains(try #require(SocketAddress(text, port: 80)))
    }
    #expect(try contains(range("192.0.2.0", 24), "192.0.2.255"))
    #expect(try !contains(range("192.0.2.0", 24), "192.0.3.0"))
    #expect(try contains(range("0.0.0.0", 0), "203.0.113.9"))
    #expect(try !contains(range("0.0.0.0", 0), "2001:db8::1"))
    #expect(try contains(range("2001:db8::", 32), "2001:db8:ffff::9"))
    #expect(try !contains(range("2001:db8::", 128), "2001:db8::1"))
    #expect(try contains(range("::", 0), "2001:db8::1"))
    #expect(AddressRange(SocketAddress(ipv4: 0, port: 0), bits: 33) == nil)
  }
}
