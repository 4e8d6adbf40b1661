import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Capability proof")
struct CapabilityProofTests {
  @Test("it is HMAC-SHA-256 over the label and the exported bytes (known answer)")
  func knownAnswer() {
    // Computed with Python: hmac.new(b"\x11" * 16, b"qtun/1 capability" + bytes(range(32)), sha256)
    let expected: [UInt8] = [
      0x37, 0x2f, 0x3b, 0x1a, 0xb6, 0xc8, 0x91, 0x59, 0xec, 0x94, 0x15, 0x03, 0xc0, 0xdc, 0x9e,
      0xab, 0x9d, 0x56, 0x28, 0x22, 0xc0, 0x63, 0xbb, 0x43, 0xcf, 0xc1, 0x06, 0x71, 0x3b, 0x4e,
      0xf3, 0xed,
    ]
    let capability = SecretBytes([UInt8](repeating: 0x11, count: 16))
    #expect(CapabilityProof.make(capability: capability, exported: [UInt8](0..<32)) == expected)
  }

  @Test("both ends of a connection agree, and no other connection's proof is worth anything")
  func boundToConnection() throws {
    let capability = TunnelWorld.capability
    let one = try Pair()
    let other = try Pair()
    let proof = try #require(
      CapabilityProof.make(capability: capability, connection: one.client))
    #expect(proof.count == CapabilityProof.count)
    #expect(isValid(proof, capability, one.server))
    #expect(!isValid(proof, capability, other.server))
    #expect(!isValid(proof, capability, other.client))
  }

  @Test("another capability, a changed, short, long or empty proof is refused")
  func wrongProofs() throws {
    let capability = TunnelWorld.capability
    let pair = try Pair()
    let proof = try #require(
      CapabilityProof.make(capability: capability, connection: pair.client))
    #expect(!isValid(proof, SecretBytes([UInt8](1...16)), pair.server))
    for index in proof.indices {
      var changed = proof
      changed[index] ^= 1
      #expect(!isValid(changed, capability, pair.server))
    }
    #expect(!isValid(Array(proof.dropLast()), capability, pair.server))
    #expect(!isValid(proof + [0], capability, pair.server))
    #expect(!isValid([], capability, pair.server))
  }

  @Test("there is none before the handshake is done")
  func early() throws {
    let loop = SimLoop()
    let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
    let client = try RawPeer(
      loop: loop, socket: network.bind(.clientHost), identity: TunnelWorld.linkIdentity,
      acceptsConnections: false)
    try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
    let connection = try #require(client.connection)
    #expect(CapabilityProof.make(capability: TunnelWorld.capability, connection: connection) == nil)
    #expect(!isValid([], TunnelWorld.capability, connection))
  }

  private func isValid(
    _ proof: [UInt8], _ capability: SecretBytes, _ connection: ConnectionCore
  ) -> Bool {
    CapabilityProof.isValid(proof, capability: capability, connection: connection)
  }

  /// Both ends of one connection.
  private final class Pair {
    let client: ConnectionCore
    let server: ConnectionCore
    private let peers: [RawPeer]

    init() throws {
      let loop = SimLoop()
      let network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings())
      let server = try RawPeer(
        loop: loop, socket: network.bind(TunnelWorld.shareAddress),
        identity: TunnelWorld.shareIdentity, acceptsConnections: true)
      let client = try RawPeer(
        loop: loop, socket: network.bind(.clientHost), identity: TunnelWorld.linkIdentity,
        acceptsConnections: false)
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      try #require(loop.run(for: .seconds(5)) { client.isReady && server.isReady })
      self.client = try #require(client.connection)
      self.server = try #require(server.connection)
      peers = [client, server]
    }
  }
}
