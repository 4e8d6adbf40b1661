import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Key of stateless resets")
struct ResetKeyTests {
  private func key(_ identity: Identity, _ port: UInt16) -> [UInt8] {
    Endpoint.resetKey(of: identity, at: SocketAddress.any.with(port: port)).withBytes { Array($0) }
  }

  @Test("it outlives a restart, and differs between addresses and identities")
  func derivation() {
    let own = key(.fixture(1), 4_433)
    #expect(own == key(.fixture(1), 4_433))
    #expect(own != key(.fixture(1), 4_434))
    #expect(own != key(.fixture(2), 4_433))
  }
}
