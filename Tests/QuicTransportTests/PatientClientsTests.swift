import Testing

@testable import QuicTransport

@Suite("PatientClients")
struct PatientClientsTests {
  private let start = Instant(nanoseconds: 10_000_000_000)
  private let client = SocketAddress(ipv4: 0xcb00_7101, port: 40_000)

  private func ask(
    _ clients: inout PatientClients, _ remote: SocketAddress, at now: Instant
  ) -> Bool {
    clients.asksAgain(remote, now: now)
  }

  @Test("a client that repeats itself after 300 ms or a second is known, another port is not")
  func patience() {
    for wait in [300, 1_000] {
      var clients = PatientClients()
      #expect(!ask(&clients, client, at: start))
      let later = start + .milliseconds(wait)
      #expect(!ask(&clients, client.with(port: 40_001), at: later))
      #expect(ask(&clients, client, at: later))
    }
  }

  @Test("asking twice at once proves nothing, and is forgotten after two seconds")
  func haste() {
    var clients = PatientClients()
    #expect(!ask(&clients, client, at: start))
    #expect(!ask(&clients, client, at: start))
    #expect(!ask(&clients, client, at: start + .seconds(2)))
    #expect(!ask(&clients, client, at: start + .seconds(1_000)))
  }

  @Test("a clock that runs backwards harms nobody")
  func backwards() {
    var clients = PatientClients()
    #expect(!ask(&clients, client, at: start))
    #expect(!ask(&clients, client, at: Instant(nanoseconds: 0)))
    #expect(ask(&clients, client, at: start + .milliseconds(300)))
  }

  @Test("of 20,000 strangers a second, hardly any is taken for somebody who asked before")
  func strangers() {
    var clients = PatientClients()
    var mistaken = 0
    for number in 0..<60_000 {
      let stranger = SocketAddress(ipv4: 0x1000_0000 + UInt32(number), port: 1_024)
      if clients.asksAgain(stranger, now: start + .microseconds(50 * number)) { mistaken += 1 }
    }
    // One is expected; the key of the hash is new in each process.
    #expect(mistaken < 30)
  }
}
