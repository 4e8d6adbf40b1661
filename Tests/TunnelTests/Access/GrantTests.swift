import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Grant")
struct GrantTests {
  @Test("a grant reads back as it was written", arguments: Seeds.all)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let names = (0..<random.below(8)).map { $0 == 0 ? "" : "s\($0)-\(random.below(1_000))" }
      let grant = try #require(
        Grant(
          id: GrantID(number: random.next()), expiry: random.below(Grant.expiryMax),
          uses: random.below(Grant.usesMax), services: names))
      #expect(Grant(grant.bytes) == grant)
      #expect(GrantID(grant.id.description) == grant.id)
    }
  }

  @Test("what no grant may say is refused")
  func limits() {
    let id = GrantID.random()
    #expect(Grant(id: id, expiry: Grant.expiryMax + 1, uses: 0, services: []) == nil)
    #expect(Grant(id: id, expiry: 0, uses: Grant.usesMax + 1, services: []) == nil)
    #expect(Grant(id: id, expiry: 0, uses: 0, services: ["web", "web"]) == nil)
    #expect(Grant(id: id, expiry: 0, uses: 0, services: ["a b"]) == nil)
    let long = (10..<26).map { String(repeating: "n", count: 61) + "\($0)" }
    #expect(Grant(id: id, expiry: 0, uses: 0, services: Array(long.dropLast())) != nil)
    #expect(Grant(id: id, expiry: 0, uses: 0, services: long) == nil)
  }

  @Test("bytes that it would not have written are none: cut, longer, or of longer integers")
  func canonical() throws {
    let grant = try #require(
      Grant(id: GrantID(number: 1), expiry: 77, uses: 3, services: ["web", ""]))
    let bytes = grant.bytes
    for count in 0..<bytes.count { #expect(Grant(Array(bytes.prefix(count))) == nil) }
    #expect(Grant(bytes + [0]) == nil)
    // The uses, 3, in two bytes.
    let index = try #require(bytes.lastIndex(of: 3).map { _ in 10 })
    #expect(bytes[index] == 3)
    #expect(Grant(Array(bytes[..<index]) + [0x40, 3] + bytes[(index + 1)...]) == nil)
  }

  @Test("the second of the expiry is over, the one before is not")
  func expiry() throws {
    let grant = try #require(Grant(id: .random(), expiry: 1_000, uses: 0, services: []))
    #expect(!grant.isExpired(at: 999))
    #expect(grant.isExpired(at: 1_000))
    let endless = try #require(Grant(id: .random(), expiry: 0, uses: 0, services: []))
    #expect(!endless.isExpired(at: .max))
  }

  @Test("each bit of a grant, and each of the root, gives another capability")
  func capability() throws {
    let root = TunnelWorld.capability
    let grant = try #require(Grant(id: .random(), expiry: 77, uses: 3, services: ["web"]))
    let right = Grant.capability(root: root, grant: grant.bytes)
    #expect(right.count == Ticket.capabilityCount)
    for index in grant.bytes.indices {
      for bit in 0..<8 {
        var changed = grant.bytes
        changed[index] ^= 1 << bit
        let other = Grant.capability(root: root, grant: changed)
        #expect(!right.withBytes { other.matches($0) })
      }
    }
    let other = Grant.capability(root: SecretBytes([UInt8](1...16)), grant: grant.bytes)
    #expect(!right.withBytes { other.matches($0) })
    #expect(!right.withBytes { root.matches($0) })
  }
}
