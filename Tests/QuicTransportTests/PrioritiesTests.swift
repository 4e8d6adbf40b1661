import CNgtcp2
import Testing

@testable import QuicTransport

@Suite("Priorities")
struct PrioritiesTests {
  private func withSession(_ body: (gnutls_session_t) -> Void) throws {
    var session: gnutls_session_t?
    #expect(gnutls_init(&session, UInt32(GNUTLS_SERVER.rawValue)) == 0)
    let handle = try #require(session)
    body(handle)
    gnutls_deinit(handle)
  }

  @Test("sessions that want the same share it, and what GnuTLS does not understand is refused")
  func sharing() throws {
    let priorities = Priorities()
    for _ in 0..<10 {
      try withSession { #expect(priorities.apply("NORMAL:-VERS-ALL:+VERS-TLS1.3", to: $0)) }
    }
    #expect(priorities.count == 1)
    try withSession { #expect(priorities.apply("NORMAL", to: $0)) }
    try withSession { #expect(!priorities.apply("NONSENSE", to: $0)) }
    #expect(priorities.count == 2)
  }

  @Test("a session keeps what it uses")
  func lifetime() throws {
    try withSession { session in
      var priorities: Priorities? = Priorities()
      #expect(priorities?.apply("NORMAL", to: session) == true)
      priorities = nil
      #expect(gnutls_protocol_get_version(session) == GNUTLS_TLS1_3)
    }
  }

  @Test("an endpoint reads its priorities once, however many connections it has")
  func endpoint() throws {
    let world = try World()
    for _ in 0..<3 { _ = try world.connect() }
    let credentials = try #require(world.accepted.first?.connection?.tls?.credentials)
    #expect(credentials.priorities.count == 1)
  }
}
