import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Ticket")
struct TicketTests {
  /// One address of each family, so that every field occurs.
  private static let sample = Ticket(
    identity: Identity.fixture(1).publicKey,
    capability: SecretBytes([UInt8](0..<16)), port: 3_000,
    addresses: [
      SocketAddress.serverHost.with(port: 4_433), SocketAddress.serverHostIPv6.with(port: 4_434),
    ])

  @Test("a ticket reads back as it was written", arguments: Seeds.all)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let ticket = try Self.random(&random)
      let text = ticket.text
      #expect(text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x31...0x37).contains($0) })
      let read = try Ticket(text)
      #expect(read.identity == ticket.identity)
      #expect(read.capability.withBytes { ticket.capability.matches($0) })
      #expect(read.port == ticket.port)
      #expect(read.addresses == ticket.addresses)
      #expect(read.grant == ticket.grant)
    }
  }

  @Test("case and surrounding space do not matter")
  func leniency() throws {
    let text = Self.sample.text
    #expect(try Ticket(text.uppercased()).text == text)
    #expect(try Ticket(" \t\r\n\(text)\n\n").text == text)
  }

  @Test("text that does not begin as a ticket is foreign")
  func foreign() {
    for text in ["", " ", "qtun", "qtun2aaaa", "ssh-ed25519 AAAA", "qtun0", "\u{301}qtun1"] {
      #expect(throws: TicketError.foreign) { try Ticket(text) }
    }
  }

  @Test("a character that no ticket has is named with its position")
  func badCharacter() {
    let text = Array(Self.sample.text)
    for position in [6, 7, 40, text.count - 1, text.count] {
      for bad: Character in ["0", "1", "8", "=", " ", "\n", "é", "m\u{302}", "\0", "👍"] {
        var changed = text
        changed[position - 1] = bad
        // At the very end, white space is not part of the text.
        if position == text.count, bad.isWhitespace { continue }
        #expect(throws: TicketError.character(bad, position: position)) {
          try Ticket(String(changed))
        }
      }
    }
    #expect(throws: TicketError.character("!", position: 6)) { try Ticket("  qtun1!  ") }
  }

  @Test("cut off anywhere, it is known to be cut off")
  func truncated() throws {
    var bare = Self.sample
    bare.addresses = []
    for ticket in [Self.sample, bare, try Self.limited()] {
      let text = ticket.text
      for count in 5..<text.count {
        #expect(throws: TicketError.truncated) { try Ticket(String(text.prefix(count))) }
      }
    }
  }

  @Test("every mistyped character is noticed")
  func mistyped() {
    let text = Array(Self.sample.text)
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
    for index in 0..<text.count {
      for character in alphabet where character != text[index] {
        var changed = text
        changed[index] = character
        #expect(throws: TicketError.self) { try Ticket(String(changed)) }
      }
    }
  }

  @Test("two neighbours that changed places are noticed")
  func swapped() {
    let text = Array(Self.sample.text)
    for index in 5..<text.count - 1 where text[index] != text[index + 1] {
      var changed = text
      changed.swapAt(index, index + 1)
      #expect(throws: TicketError.self) { try Ticket(String(changed)) }
    }
  }

  @Test("a mistake in the middle is called mistyped")
  func mistypedKey() {
    var text = Array(Self.sample.text)
    text[20] = text[20] == "a" ? "b" : "a"
    #expect(throws: TicketError.mistyped) { try Ticket(String(text)) }
  }

  @Test("rendezvous are read as they were written, with a grant and without")
  func rendezvous() throws {
    var ticket = Self.sample
    ticket.addresses = []
    ticket.rendezvous = [
      RendezvousAddress(
        key: Identity.fixture(9).publicKey,
        addresses: [.serverHost.with(port: 3_478), .serverHostIPv6.with(port: 443)]),
      RendezvousAddress(key: Identity.fixture(8).publicKey, addresses: []),
    ]
    #expect(try Ticket(ticket.text).rendezvous == ticket.rendezvous)
    let grant = try #require(Grant(id: .random(), expiry: 0, uses: 0, services: []))
    let limited = try Ticket(ticket.restricted(to: grant).text)
    #expect(limited.rendezvous == ticket.rendezvous && limited.grant == grant)
  }

  @Test("flags or content of later versions are called newer")
  func newer() throws {
    var content = Self.content()
    content[0] = 4
    #expect(throws: TicketError.newer) { try Ticket(Self.seal(content)) }
    let grant = try #require(Grant(id: .random(), expiry: 0, uses: 0, services: [])).bytes
    let limited = [1] + Self.content().dropFirst() + [UInt8(grant.count)] + grant
    #expect(try Ticket(Self.seal(limited)).grant != nil)
    #expect(throws: TicketError.newer) { try Ticket(Self.seal(limited + [0])) }
    #expect(throws: TicketError.newer) { try Ticket(Self.seal(Self.content() + [0])) }
  }

  @Test("a grant that is none, or that is announced and not there, is refused")
  func badGrant() {
    let content = [1] + Self.content().dropFirst()
    for grant: [UInt8] in [[], [0], [1, 7], [200]] {
      #expect(throws: TicketError.mistyped) { try Ticket(Self.seal(content + grant)) }
    }
  }

  @Test("more addresses than allowed, or one of an unknown family, are refused")
  func badAddresses() {
    #expect(throws: TicketError.mistyped) {
      try Ticket(Self.seal(Self.content(count: 9, Self.ipv4 + Array(repeatElement(0, count: 56)))))
    }
    #expect(throws: TicketError.mistyped) {
      try Ticket(Self.seal(Self.content(count: 1, [5, 1, 2, 3, 4, 0, 80])))
    }
    #expect(throws: TicketError.mistyped) {
      try Ticket(Self.seal(Self.content(count: 2, Self.ipv4)))
    }
  }

  @Test("a content shorter than the fixed fields is refused, with a good checksum too")
  func shortContent() {
    #expect(throws: TicketError.truncated) { try Ticket(Self.seal([])) }
    for count in 1..<52 {
      #expect(throws: TicketError.mistyped) {
        try Ticket(Self.seal(Array(Self.content().prefix(count))))
      }
    }
  }

  @Test("at most eight addresses go into a ticket, the best ones")
  func addressesMax() throws {
    let many = (0..<12).map { SocketAddress(ipv4: 0xc000_0200 + UInt32($0), port: 1) }
    let ticket = Ticket(
      identity: Identity.fixture(1).publicKey, capability: Ticket.makeCapability(), port: 1,
      addresses: many)
    #expect(try Ticket(ticket.text).addresses == Array(many.prefix(8)))
  }

  @Test("random text never crashes it", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<200 {
      let bytes = Payload.bytes(Int(random.below(160)), seed: random.next())
      let anything = String(decoding: bytes, as: UTF8.self)
      #expect(throws: TicketError.self) { try Ticket(anything) }
      #expect(throws: TicketError.self) { try Ticket("qtun1" + anything) }
      #expect(throws: TicketError.self) { try Ticket("qtun1" + Base32.encode(bytes)) }
      // With a good checksum the content itself is read.
      _ = try? Ticket(Self.seal([0] + bytes))
    }
  }

  @Test("a derived capability depends on identity and service, and on nothing else")
  func derivedCapability() {
    let one = Ticket.makeCapability(of: .fixture(1), service: "3000")
    #expect(one.count == Ticket.capabilityCount)
    #expect(matches(one, Ticket.makeCapability(of: .fixture(1), service: "3000")))
    #expect(!matches(one, Ticket.makeCapability(of: .fixture(1), service: "3001")))
    #expect(!matches(one, Ticket.makeCapability(of: .fixture(2), service: "3000")))
    #expect(!matches(Ticket.makeCapability(), Ticket.makeCapability()))
  }

  private func matches(_ one: SecretBytes, _ other: SecretBytes) -> Bool {
    one.withBytes { other.matches($0) }
  }

  // MARK: Making tickets by hand

  private static func limited() throws -> Ticket {
    let grant = Grant(id: GrantID(number: 99), expiry: 1_800_000_000, uses: 3, services: ["web"])
    return sample.restricted(to: try #require(grant))
  }

  private static let ipv4: [UInt8] = [4, 192, 0, 2, 1, 0, 80]

  /// Flags, identity, capability and port as documented, and these addresses.
  private static func content(count: UInt8 = 1, _ addresses: [UInt8] = ipv4) -> [UInt8] {
    [0] + Identity.fixture(1).publicKey.bytes + [UInt8](0..<16) + [0x0b, 0xb8, count] + addresses
  }

  private static func seal(_ content: [UInt8]) -> String {
    "qtun1" + Base32.encode(content + Crypto.sha256(content).prefix(4))
  }

  private static func random(_ random: inout SplitMix64) throws -> Ticket {
    let identity = try #require(PublicKey(Payload.bytes(32, seed: random.next())))
    let addresses = (0..<random.below(9)).map { _ in
      let port = UInt16(truncatingIfNeeded: random.next())
      return random.chance(0.5)
        ? SocketAddress(ipv4: UInt32(truncatingIfNeeded: random.next()), port: port)
        : SocketAddress(high: random.next() | 1, low: random.next(), port: port)
    }
    let ticket = Ticket(
      identity: identity, capability: SecretBytes(Payload.bytes(16, seed: random.next())),
      port: UInt16(truncatingIfNeeded: random.next()), addresses: addresses)
    guard random.chance(0.5) else { return ticket }
    let grant = Grant(
      id: GrantID(number: random.next()), expiry: random.below(1 << 33), uses: random.below(9),
      services: ["web"])
    return ticket.restricted(to: try #require(grant))
  }
}
