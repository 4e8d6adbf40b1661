import QuicTransport
import Simulation
import Testing

@Suite("X.509 certificates")
struct CertificateTests {
  private func files(
    _ name: String?, trust: CertificateFiles.Trust, requiresClient: Bool = false
  ) -> Authentication {
    .certificates(
      CertificateFiles(
        chainFile: name.map { Fixture.path("\($0).pem") },
        keyFile: name.map { Fixture.path("\($0)-key.pem") },
        trust: trust, requiresClientCertificate: requiresClient))
  }

  private static let authority = CertificateFiles.Trust.authorities(
    file: Fixture.path("authority.pem"))
  private static let stranger = CertificateFiles.Trust.authorities(
    file: Fixture.path("stranger.pem"))

  private func dial(
    server: Authentication, client: Authentication, name: String = "server.test"
  ) throws -> (world: World, client: ConnectionProbe) {
    let world = try World {
      $0.server.authentication = server
      $0.client.authentication = client
    }
    let probe = try world.dial(
      ConnectTarget(
        address: world.serverSocket.localAddress, expectedPeer: nil, serverName: name))
    world.wait { probe.isClosed || world.accepted.first?.isReady == true }
    return (world, probe)
  }

  @Test("a server that an authority vouches for is believed")
  func authority() throws {
    let (world, client) = try dial(
      server: files("server", trust: .insecureAny), client: files(nil, trust: Self.authority))
    #expect(client.isReady && client.error == nil)
    #expect(client.connection?.peer == nil)
    let stream = StreamProbe(try #require(client.connection).openStream(unidirectional: false))
    stream.send(1_000, of: Pattern(seed: 1), finishing: true)
    world.wait { world.accepted[0].opened.first?.sawEnd == true }
  }

  @Test("an unknown authority is not believed, and the server hears why")
  func unknownAuthority() throws {
    let (world, client) = try dial(
      server: files("server", trust: .insecureAny), client: files(nil, trust: Self.stranger))
    guard case .peerRejected(let reason) = client.error else {
      Issue.record("the client says \(String(describing: client.error))")
      return
    }
    #expect(!reason.isEmpty)
    world.wait { world.accepted.first?.isClosed == true }
    guard case .rejectedByPeer = world.accepted.first?.error else {
      Issue.record("the server heard \(String(describing: world.accepted.first?.error))")
      return
    }
  }

  @Test("a certificate for another name is not believed")
  func otherName() throws {
    let (_, client) = try dial(
      server: files("server", trust: .insecureAny), client: files(nil, trust: Self.authority),
      name: "elsewhere.test")
    guard case .peerRejected = client.error else {
      Issue.record("the client says \(String(describing: client.error))")
      return
    }
  }

  @Test("insecureAny believes anybody")
  func insecure() throws {
    let (_, client) = try dial(
      server: files("server", trust: .insecureAny), client: files(nil, trust: .insecureAny),
      name: "elsewhere.test")
    #expect(client.isReady)
  }

  @Test("a server that requires client certificates takes a good one and refuses none")
  func clientCertificate() throws {
    let server = files("server", trust: Self.authority, requiresClient: true)
    let good = try dial(server: server, client: files("client", trust: Self.authority))
    #expect(good.client.isReady && good.world.accepted[0].isReady)
    let none = try dial(server: server, client: files(nil, trust: Self.authority))
    #expect(none.world.accepted.first?.readyAt == nil)
    guard case .rejectedByPeer = none.client.error else {
      Issue.record("the client heard \(String(describing: none.client.error))")
      return
    }
  }

  @Test("a client certificate of another authority is refused")
  func foreignClientCertificate() throws {
    let server = files("server", trust: Self.stranger, requiresClient: true)
    let (world, client) = try dial(server: server, client: files("client", trust: Self.authority))
    #expect(world.accepted.first?.readyAt == nil)
    guard case .rejectedByPeer = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
  }

  @Test("a file that cannot be used is named")
  func missingFile() throws {
    func message(_ authentication: Authentication) -> String {
      do {
        _ = try World { $0.server.authentication = authentication }
        return "accepted"
      } catch {
        return "\(error)"
      }
    }
    #expect(message(files("absent", trust: .insecureAny)).contains("absent.pem"))
    let empty = CertificateFiles.Trust.authorities(file: "/dev/null")
    #expect(message(files("server", trust: empty)).contains("/dev/null"))
  }
}
