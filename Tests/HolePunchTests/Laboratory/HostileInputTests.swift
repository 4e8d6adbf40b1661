import QuicTransport
import Simulation
import Testing

@testable import HolePunch

/// What a punch machine does with packets that its peer has not made.
@Suite("Hostile probes")
struct HostileInputTests {
  /// Remembers what an observer on the wire would see.
  private final class Wire: PunchMiddleware {
    var sent: [[UInt8]] = []
    var dropped: [PunchEvent.DropReason] = []

    func outgoing(_ bytes: [UInt8], to destination: SocketAddress) -> [UInt8]? {
      sent.append(bytes)
      return bytes
    }

    func note(_ event: PunchEvent) {
      if case .dropped(let reason, _) = event { dropped.append(reason) }
    }
  }

  private static let attacker = SocketAddress.otherHost.with(port: 666)

  @Test("10,000 forged, replayed and garbage packets in a second: no packet out, no memory")
  func flood() throws {
    let wire = Wire()
    let world = PunchWorld {
      $0.first = .fullCone
      $0.second = .fullCone
      $0.middleware = [wire]
    }
    world.start()
    #expect(world.timeToDirect(within: .seconds(2)) != nil)
    var machine = world.first.machine
    // Everything that the peer has said can be replayed, and so can everything that we have said.
    let secondKeys = PunchKeys.fixtures().second
    var random = SplitMix64(seed: 5)
    let captured = (1...40).map { number in
      ProbeMessage(
        type: number.isMultiple(of: 2) ? .probe : .answer, isChosen: true, round: 1,
        number: UInt32(number), transaction: TransactionID(using: &random), observed: .any
      ).encoded(keys: secondKeys)
    }
    var now = world.loop.now
    for bytes in captured { machine.receive(bytes, from: Self.attacker, socket: 1, now: now) }
    while machine.nextEffect() != nil {}
    let targets = machine.targets.count
    let pending = machine.pending.count
    for packet in 0..<10_000 {
      now = now + .microseconds(100)
      var bytes =
        packet.isMultiple(of: 3) ? wire.sent[packet % wire.sent.count] : captured[packet % 40]
      if packet % 3 == 1 { bytes[Int(random.below(66))] ^= UInt8(1 + random.below(255)) }
      if packet % 7 == 0 { bytes = (0..<random.below(100)).map { _ in UInt8(random.below(256)) } }
      machine.receive(
        bytes, from: Self.attacker.with(port: UInt16(packet)), socket: 1, now: now)
      #expect(machine.nextEffect() == nil, "packet \(packet)")
    }
    #expect(machine.targets.count == targets && machine.pending.count == pending)
    #expect(machine.state == .direct && machine.path == world.first.machine.path)
    #expect(wire.dropped.contains(.badSignature) && wire.dropped.contains(.replayed))
  }

  @Test("an authentic peer that asks too fast is answered 50 times a second")
  func tooFast() {
    let (first, second) = PunchKeys.fixtures()
    var random = SplitMix64(seed: 1)
    var machine = PunchMachine(
      keys: first, filter: CandidateFilter(interfaces: [], reflexive: []),
      settings: PunchSettings(), random: random, middleware: [], now: SimLoop.start)
    var answers = 0
    for number in 1...2_000 {
      let now = SimLoop.start + .microseconds(500 * number)
      let probe = ProbeMessage(
        type: .probe, isChosen: false, round: 1, number: UInt32(number),
        transaction: TransactionID(using: &random), observed: .any)
      let source = Self.attacker.with(port: UInt16(number))
      machine.receive(probe.encoded(keys: second), from: source, socket: 0, now: now)
      while let effect = machine.nextEffect() {
        if case .send(let datagram) = effect, datagram.bytes[2] == 0x11 { answers += 1 }
      }
      machine.handleTimeout(now: now)
    }
    #expect((90...101).contains(answers), "\(answers)")
    #expect(machine.targets.count <= PunchMachine.peerReflexiveMax)
  }

  @Test("an answer counts only from where it was asked, and only once")
  func answers() throws {
    let (first, second) = PunchKeys.fixtures()
    var machine = PunchMachine(
      keys: first, filter: CandidateFilter(interfaces: [], reflexive: []),
      settings: PunchSettings(), random: SplitMix64(seed: 1), middleware: [], now: SimLoop.start)
    let peer = SocketAddress.serverHost.with(port: 9)
    machine.begin(
      PunchPlan(
        round: 1, offer: 1, mode: .plain, role: .equal, hold: .zero, peer: NATReport(),
        observedPeer: nil,
        candidates: [Candidate(address: peer, kind: .reflexive)]),
      socket: 0, offer: 1, now: SimLoop.start)
    guard case .send(let datagram) = machine.nextEffect() else {
      Issue.record("no probe")
      return
    }
    let probe = try #require(ProbeMessage(datagram.bytes, keys: second))
    func answer(_ number: UInt32) -> [UInt8] {
      ProbeMessage(
        type: .answer, isChosen: false, round: 1, number: number, transaction: probe.transaction,
        observed: .clientHost.with(port: 1)
      ).encoded(keys: second)
    }
    machine.receive(answer(1), from: Self.attacker, socket: 0, now: SimLoop.start)
    machine.receive(answer(2), from: peer, socket: 5, now: SimLoop.start)
    #expect(machine.state == .punching && machine.nextEffect() == nil)
    machine.receive(answer(3), from: peer, socket: 0, now: SimLoop.start + .milliseconds(40))
    #expect(machine.state == .direct && machine.path?.roundTrip == .milliseconds(40))
    #expect(machine.path?.observed == .clientHost.with(port: 1))
  }

  @Test("a candidate that comes later is probed at once; one that is known is not begun again")
  func trickle() {
    var machine = PunchMachine(
      keys: PunchKeys.fixtures().first, filter: CandidateFilter(interfaces: [], reflexive: []),
      settings: PunchSettings(), random: SplitMix64(seed: 1), middleware: [], now: SimLoop.start)
    let known = Candidate(address: .serverHost.with(port: 9), kind: .reflexive)
    let later = Candidate(address: .otherHost.with(port: 9), kind: .mapped)
    machine.begin(
      PunchPlan(
        round: 1, offer: 1, mode: .plain, role: .equal, hold: .zero, peer: NATReport(),
        observedPeer: nil, candidates: [known]),
      socket: 0, offer: 1, now: SimLoop.start)
    while machine.nextEffect() != nil {}
    machine.add([known, later, later], now: SimLoop.start + .milliseconds(10))
    var destinations: [SocketAddress] = []
    while let effect = machine.nextEffect() {
      if case .send(let datagram) = effect { destinations.append(datagram.destination) }
    }
    #expect(destinations == [later.address])
  }

  @Test("a plan of a dishonest peer leads to nobody else's ports")
  func thirdParties() {
    let interfaces = [InterfaceAddress(address: PunchWorld.firstHost, prefixLength: 24)]
    let keys = PunchKeys.fixtures().first
    for mode in PunchMode.allCases {
      for role in PunchRole.allCases {
        var machine = PunchMachine(
          keys: keys, filter: CandidateFilter(interfaces: interfaces, reflexive: []),
          settings: PunchSettings(), random: SplitMix64(seed: 1), middleware: [],
          now: SimLoop.start)
        var report = NATReport(
          mapping: .addressAndPortDependent, filtering: .unknown, portDelta: Int.max)
        report.lastPort = 65_535
        let hosts: [UInt32] = [0xe000_0001, 0xffff_ffff, 0, 0xf000_0001, 0x7f00_0001, 0x0a09_0909]
        var candidates = hosts.map {
          Candidate(address: SocketAddress(ipv4: $0, port: 53), kind: .reflexive)
        }
        candidates.append(Candidate(address: .serverHost, kind: .reflexive))
        machine.begin(
          PunchPlan(
            round: 1, offer: 1, mode: mode, role: role, hold: .zero, peer: report,
            observedPeer: nil,
            candidates: candidates),
          socket: 0, offer: 1, now: SimLoop.start)
        machine.socketsOpened(Array(1...300), now: SimLoop.start)
        for step in 0..<2_000 { machine.handleTimeout(now: SimLoop.start + .milliseconds(step)) }
        while let effect = machine.nextEffect() {
          if case .send(let datagram) = effect {
            Issue.record("\(mode) \(role) sent to \(datagram.destination)")
          }
        }
      }
    }
  }
}
