import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// Tickets with limits, in virtual time: who comes in, and who has to leave.
@Suite("Gate")
struct GateTests {
  private static let web = Service(name: "web", target: .tcp([SimTargets.web]))
  private static let spare = Service(name: "spare", target: .tcp([SimTargets.spare]))

  // MARK: Scope

  @Test("a ticket's holder sees the services that it is for, and reaches no other")
  func scope() throws {
    let scene = try Scene(services: ["web"])
    try scene.world.open()
    #expect(scene.world.link.services.map(\.name) == ["web"])
    let inside = scene.world.connect(to: "web")
    inside.send([1])
    scene.world.wait { scene.world.targets.programs.first?.received == [1] }
    let outside = scene.world.connect(to: "spare")
    outside.send([2])
    scene.world.wait { outside.isOver }
    #expect(outside.failure != nil)
    #expect(scene.world.targets.attempts == [SimTargets.web])
    #expect(scene.world.linkJournal.reports.map(\.ending) == [.rejected])
  }

  @Test(
    "a peer that asks for more is told that it is out of scope, shared or not", .serialized,
    arguments: ["spare", "none", ""])
  func cheatingScope(name: String) throws {
    let scene = try Scene(services: ["web"])
    let client = try scene.client { $0.greet(scene.ticket) }
    scene.world.wait { client.streams.first?.messages.isEmpty == false }
    let flow = try client.open(sending: FlowHeader(kind: .tcp, service: name).encoded)
    scene.world.wait { flow.resetCode != nil && flow.stopCode != nil }
    #expect(flow.resetCode == TunnelCode.notInScope && flow.stopCode == TunnelCode.notInScope)
    #expect(scene.world.targets.attempts.isEmpty)
    // The session goes on.
    let good = try client.open(sending: FlowHeader(kind: .tcp, service: "web").encoded + [7])
    scene.world.wait { scene.world.targets.programs.first?.received == [7] }
    #expect(good.resetCode == nil && client.error == nil)
  }

  @Test("UDP flows go to the services of the ticket, whatever else stands before them")
  func datagramScope() throws {
    let (dns, time) = (SimDatagramTargets.dns, SimDatagramTargets.dns.with(port: 123))
    let scene = try Scene(
      services: ["time"],
      offered: [
        Self.web, Service(name: "dns", target: .udp([dns])),
        Service(name: "time", target: .udp([time])),
      ])
    let servers = [dns, time].map { DatagramProgram(network: scene.world.network, at: $0) }
    try scene.world.open()
    let (programs, address) = scene.world.openDatagrams("time")
    let program = DatagramProgram(network: scene.world.network)
    program.send([7], to: address)
    scene.world.wait { !servers[1].received.isEmpty }
    #expect(servers.map(\.received) == [[], [[7]]])
    programs.close()
  }

  @Test("a ticket for services that are not shared any more opens nothing")
  func scopeIsGone() throws {
    let scene = try Scene(services: ["old"])
    scene.world.link.start()
    scene.world.wait { !scene.world.errors.isEmpty }
    guard case .refused? = scene.world.errors.first else {
      Issue.record("\(scene.world.errors)")
      return
    }
  }

  // MARK: Tampering

  @Test("whoever changes any field of the grant holds a ticket that is worth nothing")
  func tampering() throws {
    let scene = try Scene(expiresIn: 100, uses: 1, services: ["web"])
    let id = scene.grant.id
    let expiry = scene.grant.expiry
    let changed = [
      Grant(id: GrantID(number: id.number ^ 1), expiry: expiry, uses: 1, services: ["web"]),
      Grant(id: id, expiry: expiry + 1, uses: 1, services: ["web"]),
      Grant(id: id, expiry: 0, uses: 1, services: ["web"]),
      Grant(id: id, expiry: expiry, uses: 2, services: ["web"]),
      Grant(id: id, expiry: expiry, uses: 0, services: ["web"]),
      Grant(id: id, expiry: expiry, uses: 1, services: ["web", "spare"]),
      Grant(id: id, expiry: expiry, uses: 1, services: []),
    ].compactMap { $0?.bytes }
    #expect(changed.count == 7)
    for bytes in changed + [[], [0], scene.grant.bytes + [0]] {
      let client = try scene.client { $0.greet(scene.ticket, grant: bytes) }
      scene.world.wait { client.error != nil }
      #expect(client.error?.applicationCode == TunnelCode.notAuthorized)
      #expect(client.streams.allSatisfy { $0.bytes.isEmpty })
    }
    #expect(scene.world.share.statistics.sessions == 0)
  }

  @Test("the root's own capability with a grant, and a grant's without it, are worth nothing")
  func mixedUp() throws {
    let scene = try Scene()
    let plain = TunnelWorld.capability
    for (capability, grant) in [(plain, scene.grant.bytes), (scene.ticket.capability, [])] {
      let client = try scene.client { $0.greet(capability: capability, grant: grant) }
      scene.world.wait { client.error != nil }
      #expect(client.error?.applicationCode == TunnelCode.notAuthorized)
    }
  }

  @Test("a HELLO that was overheard is worth nothing on another connection")
  func replay() throws {
    let scene = try Scene()
    var overheard: [UInt8] = []
    let honest = try scene.client { client in
      overheard = client.hello(scene.ticket)
      _ = try? client.open(sending: overheard)
    }
    scene.world.wait { honest.streams.first?.messages.isEmpty == false }
    let thief = try scene.client { _ = try? $0.open(sending: overheard) }
    scene.world.wait { thief.error != nil }
    #expect(thief.error?.applicationCode == TunnelCode.notAuthorized)
    #expect(honest.error == nil)
  }

  // MARK: Expiry

  @Test("a ticket works to its last second, and its session ends with it")
  func expiry() throws {
    let scene = try Scene(expiresIn: 20)
    try scene.world.open()
    scene.runUntil(second: 20, minus: .milliseconds(10))
    #expect(scene.world.errors.isEmpty)
    let late = try scene.client { $0.greet(scene.ticket) }
    // The greeting takes a few milliseconds of the virtual network.
    scene.world.wait(.seconds(3)) { !scene.world.errors.isEmpty && late.error != nil }
    #expect(scene.world.errors.first?.denial == .expired)
    #expect(late.error?.applicationCode == TunnelCode.expired)
    #expect(scene.world.loop.elapsed <= .seconds(22))
  }

  @Test("one that is over is refused, and the link says so")
  func expired() throws {
    let scene = try Scene(expiresIn: 5)
    scene.runUntil(second: 5)
    scene.world.link.start()
    scene.world.wait { !scene.world.errors.isEmpty }
    #expect(scene.world.errors.map(\.denial) == [.expired])
  }

  // MARK: Revocation

  @Test("a revoked ticket's sessions end within five seconds, and no others", arguments: Seeds.all)
  func revocation(seed: UInt64) throws {
    let scene = try Scene()
    try scene.world.open()
    let other = try scene.client { $0.greet() }
    scene.world.wait { other.streams.first?.messages.isEmpty == false }
    let program = scene.world.connect(to: "web")
    program.send([1])
    var random = SplitMix64(seed: seed)
    scene.world.loop.run(for: .milliseconds(Int64(random.below(5_000))))
    try scene.change { ledger in _ = ledger.revoke(scene.grant.id) }
    scene.world.wait(.seconds(5)) { !scene.world.errors.isEmpty && program.isOver }
    #expect(scene.world.errors.map(\.denial) == [.revoked])
    #expect(program.failure == ECONNRESET)
    #expect(other.error == nil)
    let again = try scene.client { $0.greet(scene.ticket) }
    scene.world.wait { again.error != nil }
    #expect(again.error?.applicationCode == TunnelCode.revoked)
  }

  @Test("who holds a revoked ticket, or one on no list, is not met at a rendezvous either")
  func notMet() throws {
    let scene = try Scene()
    let gate = try Gate(
      root: TunnelWorld.capability, rules: AccessRules(tickets: scene.file, allowed: nil),
      wallClock: { TunnelWorld.startTime })
    #expect(gate.capability(ofGrant: scene.grant.bytes) != nil)
    let unlisted = try #require(Grant(id: .random(), expiry: 0, uses: 0, services: []))
    #expect(gate.capability(ofGrant: unlisted.bytes) == nil)
    try scene.change { ledger in _ = ledger.revoke(scene.grant.id) }
    #expect(gate.capability(ofGrant: scene.grant.bytes) == nil)
    #expect(gate.capability(ofGrant: []) != nil)
  }

  @Test("a ticket that is on no list is worth nothing; one that is put there is good at once")
  func unlisted() throws {
    let scene = try Scene(isListed: false)
    let early = try scene.client { $0.greet(scene.ticket) }
    scene.world.wait { early.error != nil }
    #expect(early.error?.applicationCode == TunnelCode.revoked)
    try scene.list(scene.grant)
    try scene.world.open()
  }

  // MARK: Uses

  @Test("one use is one identity: it comes back, others do not come in")
  func uses() throws {
    let scene = try Scene(uses: 1)
    for _ in 0..<3 {
      let client = try scene.client(identity: 7) { $0.greet(scene.ticket) }
      scene.world.wait { client.streams.first?.messages.isEmpty == false }
      client.connection?.close(code: TunnelCode.done, reason: "")
    }
    let other = try scene.client(identity: 8) { $0.greet(scene.ticket) }
    scene.world.wait { other.error != nil }
    #expect(other.error?.applicationCode == TunnelCode.usedUp)
    #expect(try scene.file.load().list.tickets[0].users == [Identity.fixture(7).publicKey])
    scene.world.link.start()
    scene.world.wait { !scene.world.errors.isEmpty }
    #expect(scene.world.errors.map(\.denial) == [.usedUp])
  }

  @Test("a use that cannot be written down lets nobody in")
  func useIsDurable() throws {
    let scene = try Scene(uses: 1)
    let raw = open(scene.folder.file("identity"), O_RDONLY)
    defer { close(raw) }
    #expect(flock(raw, LOCK_EX) == 0)
    let client = try scene.client { $0.greet(scene.ticket) }
    scene.world.wait { client.error != nil }
    #expect(client.error?.applicationCode == TunnelCode.notAuthorized)
    #expect(scene.problems.map(\.error) == [.busy])
    flock(raw, LOCK_UN)
    try scene.world.open()
  }

  // MARK: Damaged lists

  @Test("while the list is damaged or missing, those who are in stay, and plain tickets work")
  func damagedList() throws {
    let scene = try Scene()
    try scene.world.open()
    for bytes in [Array("qtun-access 1\nticket".utf8), nil] {
      if let bytes {
        try scene.folder.write(bytes, to: "identity.access", mode: 0o600)
      } else {
        unlink(scene.file.path)
      }
      scene.world.loop.run(for: .seconds(6))
      #expect(scene.world.errors.isEmpty)
      let limited = try scene.client { $0.greet(scene.ticket) }
      let plain = try scene.client { $0.greet() }
      scene.world.wait { limited.error != nil && plain.streams.first?.messages.isEmpty == false }
      #expect(limited.error?.applicationCode == TunnelCode.notAuthorized)
      #expect(plain.error == nil)
    }
    #expect(scene.problems.map(\.error) == [.malformed(line: 2), .missing])
  }

  @Test("a damaged list stops a share from starting, a missing one does not")
  func damagedStart() throws {
    let folder = try TemporaryFolder()
    let file = LedgerFile(besideIdentity: folder.file("identity"))
    let rules = AccessRules(tickets: file, allowed: nil)
    _ = try Gate(root: TunnelWorld.capability, rules: rules, wallClock: { 0 })
    try folder.write([1, 2, 3], to: "identity.access", mode: 0o600)
    #expect(throws: AccessProblem(.tickets, path: file.path, error: .malformed(line: 1))) {
      try Gate(root: TunnelWorld.capability, rules: rules, wallClock: { 0 })
    }
  }

  // MARK: Allow list

  @Test("with a list, a valid ticket alone is not enough; who is taken off it has to leave")
  func allowList() throws {
    let folder = try TemporaryFolder()
    let key = TunnelWorld.linkIdentity.publicKey
    try folder.write(Array("\(key)\n".utf8), to: "allow", mode: 0o644)
    let world = try TunnelWorld {
      $0.access.allowed = .init(
        keys: [Identity.fixture(9).publicKey], files: [folder.file("allow")])
    }
    try world.open()
    for (number, isAllowed) in [(UInt8(9), true), (8, false)] {
      let client = try RawPeer(
        loop: world.loop, socket: world.network.bind(.otherHost), identity: .fixture(number),
        acceptsConnections: false)
      client.onReady = { $0.greet() }
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      world.wait { client.error != nil || client.streams.first?.messages.isEmpty == false }
      #expect(client.error?.applicationCode == (isAllowed ? nil : TunnelCode.identityNotAllowed))
    }
    try folder.write(Array("# nobody\n".utf8), to: "allow", mode: 0o644)
    world.wait(.seconds(5)) { !world.errors.isEmpty }
    #expect(world.errors.map(\.denial) == [.identityNotAllowed])
    #expect(world.share.statistics.sessionsOpen == 1)
  }

  // MARK: Throttle

  @Test("a guesser's answers come later and later; others from its address are served at once")
  func throttle() throws {
    let scene = try Scene()
    var waits: [Duration] = []
    for _ in 0..<12 {
      var asked = scene.world.loop.now
      let client = try scene.client { client in
        asked = scene.world.loop.now
        client.greet(capability: SecretBytes([UInt8](1...16)), grant: [])
      }
      scene.world.wait { client.error != nil }
      #expect(client.error?.applicationCode == TunnelCode.notAuthorized)
      waits.append(scene.world.loop.now - asked)
    }
    #expect(waits[..<Throttle.failuresFree].allSatisfy { $0 < .milliseconds(200) })
    #expect(waits[11] >= Throttle.delayMax && waits[11] < .seconds(5))
    // One line for the owner in ten seconds, not one for each.
    #expect(scene.world.shareJournal.refusals.count <= 3)
    let honest = try scene.client { $0.greet(scene.ticket) }
    let before = scene.world.loop.now
    scene.world.wait { honest.streams.first?.messages.isEmpty == false }
    #expect(scene.world.loop.now - before < .milliseconds(300))
  }

  @Test("guessers that wait leave places for others, however many they are")
  func manyGuessers() throws {
    let scene = try Scene()
    var guessers: [RawPeer] = []
    // From several addresses, because one has room for fewer strangers.
    for number in 0..<(Gate.waitingMax * 2) {
      let host = SocketAddress(ipv4: 0xcb00_7101 + UInt32(number % 8), port: 0)
      guessers.append(
        try scene.client(from: host) {
          $0.greet(capability: SecretBytes([UInt8](1...16)), grant: [])
        })
    }
    scene.world.loop.run(for: .milliseconds(240))
    let waiting = guessers.count { $0.error == nil }
    #expect(waiting <= Gate.waitingMax)
    try scene.world.open()
    scene.world.wait { guessers.allSatisfy { $0.error != nil } }
    // Those who waited have given their places back: the next one waits again.
    let next = try scene.client {
      $0.greet(capability: SecretBytes([UInt8](1...16)), grant: [])
    }
    scene.world.wait { next.isReady }
    scene.world.loop.run(for: .seconds(1))
    #expect(next.error == nil)
  }
}

// MARK: - Scenes

extension GateTests {
  /// A share of two services, with a list of tickets, and a link that holds one of them.
  private final class Scene {
    let folder: TemporaryFolder
    let file: LedgerFile
    let grant: Grant
    let ticket: Ticket
    let world: TunnelWorld

    init(
      expiresIn seconds: UInt64? = nil, uses: UInt64 = 0, services: [String] = [],
      isListed: Bool = true, offered: [Service] = [GateTests.web, GateTests.spare]
    ) throws {
      folder = try TemporaryFolder()
      try folder.write([], to: "identity", mode: 0o600)
      let file = LedgerFile(besideIdentity: folder.file("identity"))
      self.file = file
      let grant = try #require(
        Grant(
          id: .random(), expiry: seconds.map { TunnelWorld.startTime + $0 } ?? 0, uses: uses,
          services: services))
      self.grant = grant
      ticket = Ticket(
        identity: TunnelWorld.shareIdentity.publicKey, capability: TunnelWorld.capability, port: 0,
        addresses: []
      ).restricted(to: grant)
      world = try TunnelWorld {
        $0.services = offered
        $0.access.tickets = file
        $0.grant = grant
      }
      try list(isListed ? grant : #require(Grant(id: .random(), expiry: 0, uses: 0, services: [])))
    }

    func list(_ grant: Grant) throws {
      let record = Ledger.TicketRecord(grant: grant, label: "", created: TunnelWorld.startTime)
      try file.update(patience: .seconds(5)) { ledger throws(AccessFileError) in
        try ledger.add(record, now: TunnelWorld.startTime)
      }
    }

    func change(_ body: (inout Ledger) -> Void) throws {
      try file.update(patience: .seconds(5)) { ledger throws(AccessFileError) in body(&ledger) }
    }

    /// A client of our own making.
    func client(
      identity: UInt8 = 3, from host: SocketAddress = .otherHost,
      onReady: @escaping (RawPeer) -> Void
    ) throws -> RawPeer {
      let client = try RawPeer(
        loop: world.loop, socket: world.network.bind(host), identity: .fixture(identity),
        acceptsConnections: false)
      client.onReady = onReady
      try client.dial(TunnelWorld.shareAddress, expecting: TunnelWorld.shareIdentity)
      return client
    }

    /// Runs until this second of the virtual clock has begun, or so long before.
    func runUntil(second: UInt64, minus early: Duration = .zero) {
      world.loop.run(for: .seconds(second) - early - world.loop.elapsed)
    }

    var problems: [AccessProblem] {
      world.shareJournal.events.compactMap {
        if case .accessFileUnusable(let problem) = $0 { problem } else { nil }
      }
    }
  }
}

extension RawPeer {
  /// The HELLO that a holder of the ticket sends.
  fileprivate func hello(_ ticket: Ticket) -> [UInt8] {
    hello(capability: ticket.capability, grant: ticket.grant?.bytes ?? [])
  }

  fileprivate func hello(capability: SecretBytes, grant: [UInt8]) -> [UInt8] {
    guard let connection,
      let proof = CapabilityProof.make(capability: capability, connection: connection)
    else { return [] }
    let hello = ControlMessage.Hello(version: 1, capabilities: 0, proof: proof, grant: grant)
    return ControlMessage.hello(hello).encoded
  }

  /// Sends the HELLO of the ticket, perhaps with another grant.
  fileprivate func greet(_ ticket: Ticket, grant: [UInt8]? = nil) {
    greet(capability: ticket.capability, grant: grant ?? ticket.grant?.bytes ?? [])
  }

  fileprivate func greet(capability: SecretBytes, grant: [UInt8]) {
    _ = try? open(sending: hello(capability: capability, grant: grant))
  }
}

extension TunnelError {
  /// Why a holder of a ticket was sent away, if that is what happened.
  fileprivate var denial: Denial? {
    if case .denied(let denial) = self { denial } else { nil }
  }
}
