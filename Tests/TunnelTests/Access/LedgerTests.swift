import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Ledger")
struct LedgerTests {
  @Test("it reads back as it was written, whatever stands in labels", arguments: Seeds.all)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for _ in 0..<20 {
      let ledger = try Self.random(&random)
      #expect(try Ledger(text: ledger.text) == ledger)
    }
  }

  @Test("cut off anywhere it is damaged, and so is every line that says something else")
  func damage() throws {
    var random = SplitMix64(seed: 1)
    let ledger = try Self.random(&random)
    let text = ledger.text
    for count in 0..<text.count {
      #expect(throws: AccessFileError.self) { try Ledger(text: Array(text.prefix(count))) }
    }
    let lines = text.split(separator: 0x0a, omittingEmptySubsequences: false)
    for index in 0..<(lines.count - 1) {
      let line = Array(lines[index])
      let wrongs: [[UInt8]] = [[], [0xff], line + [9], line.dropLast(), Array("user\ta".utf8)]
      for wrong in wrongs {
        var changed = lines
        changed[index] = wrong[...]
        // A label, or words that a share's capability is made from, may say anything.
        if index > 0, index < lines.count - 2, wrong.count > 6, wrong.last != 9 { continue }
        #expect(throws: AccessFileError.self) {
          try Ledger(text: Array(changed.joined(separator: [0x0a])))
        }
      }
    }
  }

  @Test("the line that cannot be understood is named")
  func line() {
    let text = Array("qtun-access 1\nticket\nend\n".utf8)
    #expect(throws: AccessFileError.malformed(line: 2)) { try Ledger(text: text) }
    #expect(throws: AccessFileError.malformed(line: 1)) {
      try Ledger(text: Array("qtun-access 2\nend\n".utf8))
    }
  }

  @Test("random bytes are damaged, and never crash it", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<100 {
      let bytes = Payload.bytes(Int(random.below(300)), seed: random.next())
      #expect(throws: AccessFileError.self) { try Ledger(text: bytes) }
      let framed = Array("qtun-access 1\nticket\t".utf8) + bytes + Array("\nend\n".utf8)
      #expect(throws: AccessFileError.self) { try Ledger(text: framed) }
    }
  }

  @Test("a ticket serves as many identities as it allows, each as often as it likes")
  func uses() throws {
    var ledger = Ledger()
    let grant = try #require(Grant(id: .random(), expiry: 0, uses: 2, services: []))
    try ledger.add(Ledger.TicketRecord(grant: grant, label: "", created: 1), now: 1)
    let users = (1...3).map { Identity.fixture($0).publicKey }
    #expect(ledger.tickets[0].usesLeft == 2)
    var answers: [Bool] = []
    for number in [0, 0, 1, 2, 0] { answers.append(ledger.use(grant.id, by: users[number])) }
    #expect(answers == [true, true, true, false, true])
    #expect(ledger.tickets[0].status(at: 1) == .usedUp)
    #expect(ledger.tickets[0].users == Array(users.prefix(2)))
    let stranger = ledger.use(.random(), by: users[0])
    #expect(!stranger)
    #expect(try Ledger(text: ledger.text) == ledger)
  }

  @Test("a full list makes room by what is worth nothing, and takes no more when nothing is")
  func full() throws {
    var ledger = Ledger()
    for number in 0..<Ledger.ticketsMax {
      let grant = Grant(id: GrantID(number: UInt64(number)), expiry: 0, uses: 0, services: [])
      let record = Ledger.TicketRecord(grant: try #require(grant), label: "", created: 1)
      try ledger.add(record, now: 1)
    }
    let grant = try #require(Grant(id: .random(), expiry: 0, uses: 0, services: []))
    let extra = Ledger.TicketRecord(grant: grant, label: "", created: 1)
    #expect(throws: AccessFileError.full) { try ledger.add(extra, now: 1) }
    ledger.revoke(GrantID(number: 7))
    try ledger.add(extra, now: 1)
    #expect(ledger.ticket(GrantID(number: 7)) == nil)
    #expect(ledger.tickets.count == Ledger.ticketsMax)
  }

  @Test("a share whose process is gone does not run, and the next share forgets it")
  func deadShares() throws {
    var ledger = Ledger()
    let gone = ProcessMark(number: ProcessMark.current.number, start: 1)
    try ledger.add(Self.share(process: gone))
    #expect(ledger.runningShares.isEmpty)
    try ledger.add(Self.share(process: .current))
    #expect(ledger.shares.map(\.process) == [.current])
    #expect(ledger.runningShares.count == 1)
    ledger.remove(Self.share(process: .current))
    #expect(ledger.shares.isEmpty)
  }

  private static func share(
    process: ProcessMark, rendezvous: [RendezvousAddress] = []
  ) -> Ledger.ShareRecord {
    Ledger.ShareRecord(
      process: process, port: 4_433, context: "web=localhost:80 \t%\n",
      addresses: [
        SocketAddress.serverHost.with(port: 1), SocketAddress.serverHostIPv6.with(port: 2),
      ], suggestedPort: 80, services: ["web", ""], rendezvous: rendezvous)
  }

  private static let relays = [
    RendezvousAddress(
      key: Identity.fixture(3).publicKey,
      addresses: [.serverHost.with(port: 3_478), .serverHostIPv6.with(port: 3_478)]),
    RendezvousAddress(key: Identity.fixture(4).publicKey, addresses: []),
  ]

  @Test("the relays of a share are read as they were written; wrong ones make the line wrong")
  func relays() throws {
    var ledger = Ledger()
    try ledger.add(Self.share(process: .current, rendezvous: Self.relays))
    #expect(try Ledger(text: ledger.text).shares.first?.rendezvous == Self.relays)
    let text = String(decoding: ledger.text, as: UTF8.self)
    let key = Identity.fixture(3).publicKey.description
    for (part, wrong) in [
      (key, "x"), ("@192.0.2.1/3478", "@192.0.2.1"), (";", "@"), (";", ";;;;;a@;b@;c@;"),
    ] {
      let changed = Array(text.replacing(part, with: wrong).utf8)
      #expect(throws: AccessFileError.malformed(line: 2)) { try Ledger(text: changed) }
    }
    // As versions without relays wrote it.
    var former = Ledger()
    try former.add(Self.share(process: .current))
    #expect(former.text.count { $0 == 9 } == 7)
    #expect(try Ledger(text: former.text).shares.first?.rendezvous == [])
  }

  private static func random(_ random: inout SplitMix64) throws -> Ledger {
    var ledger = Ledger()
    try ledger.add(share(process: .current, rendezvous: random.chance(0.5) ? [] : Self.relays))
    for number in 0..<(random.below(6) + 1) {
      let uses = random.below(4)
      let grant = Grant(
        id: GrantID(number: random.next()), expiry: random.below(1 << 32), uses: uses,
        services: random.chance(0.5) ? [] : ["web", ""])
      let label = String(
        decoding: Payload.bytes(Int(random.below(40)), seed: random.next()), as: UTF8.self)
      let record = Ledger.TicketRecord(
        grant: try #require(grant), label: label, created: random.below(1 << 32))
      try ledger.add(record, now: 0)
      for user in 0..<uses {
        _ = ledger.use(record.grant.id, by: Identity.fixture(UInt8(user + 1)).publicKey)
      }
      if number.isMultiple(of: 2) { ledger.revoke(record.grant.id) }
    }
    return ledger
  }
}
