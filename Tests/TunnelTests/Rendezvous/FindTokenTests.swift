import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("A token that shows a ticket to a share")
struct FindTokenTests {
  private static let capability = SecretBytes([UInt8](0..<16))
  private static let parties = FindToken.Parties(
    rendezvous: Identity.fixture(1).publicKey, dialler: Identity.fixture(2).publicKey,
    sharer: Identity.fixture(3).publicKey)
  private let token = FindToken(
    capability: FindTokenTests.capability, grant: [1, 2], parties: FindTokenTests.parties,
    time: 1_000_000)

  private func isValid(
    _ token: FindToken, capability: SecretBytes = FindTokenTests.capability,
    now: UInt64 = 1_000_000,
    change: (inout FindToken.Parties) -> Void = { _ in }
  ) -> Bool {
    var parties = Self.parties
    change(&parties)
    return token.isValid(capability: capability, parties: parties, now: now)
  }

  @Test("it is read as it was made, and holds for a while")
  func holds() throws {
    let read = try #require(FindToken(token.encoded))
    #expect(read == token && read.grant == [1, 2])
    for now: UInt64 in [1_000_000, 1_000_180, 999_820] { #expect(isValid(read, now: now)) }
  }

  @Test("it holds for nobody else, nowhere else, and not later")
  func doesNotHold() {
    let other = Identity.fixture(9).publicKey
    #expect(!isValid(token) { $0.rendezvous = other })
    #expect(!isValid(token) { $0.dialler = other })
    #expect(!isValid(token) { $0.sharer = other })
    #expect(!isValid(token, capability: SecretBytes([UInt8](repeating: 0, count: 16))))
    for now: UInt64 in [1_000_181, 999_819, 0, .max] { #expect(!isValid(token, now: now)) }
  }

  @Test("a changed byte or a shorter token is worth nothing")
  func damaged() {
    let bytes = token.encoded
    for index in bytes.indices {
      var copy = bytes
      copy[index] ^= 1
      // The grant is not signed here: another grant has another capability.
      guard !(1...2).contains(index), let read = FindToken(copy) else { continue }
      #expect(!isValid(read))
      #expect(FindToken(Array(bytes.prefix(index))) == nil)
    }
  }
}
