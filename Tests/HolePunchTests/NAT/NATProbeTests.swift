import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("NAT probe")
struct NATProbeTests {
  /// A node that measures its network.
  private final class World: DatagramReceiver {
    let loop = SimLoop()
    let network: SimNetwork
    let nat: SimNAT?
    let server: SimStunServer
    let main: SimSocket
    let spare: SimSocket
    var probe: NATProbe
    var firstAnswer: Duration?
    /// What arrived at the main socket from where nothing was sent to.
    var unsolicited = 0
    private var asked: Set<SocketAddress> = []

    init(_ settings: SimNAT.Settings?, seed: UInt64, isDouble: Bool = true, loss: Double = 0) {
      var link = LinkSettings(latency: .milliseconds(20))
      link.lossRate = loss
      let network = SimNetwork(loop: loop, seed: seed, defaults: link)
      self.network = network
      server = SimStunServer(network: network, isDouble: isDouble)
      let host =
        settings == nil ? SocketAddress.clientHost : SocketAddress(ipv4: 0xc0a8_0105, port: 0)
      nat = settings.map { network.addTranslator(at: .clientHost, $0) }
      nat?.attach(host)
      main = network.bind(host.with(port: 7_000))
      spare = network.bind(host)
      probe = NATProbe(
        servers: [SimStunServer.primary], interfaces: [host], port: 7_000,
        random: SplitMix64(seed: seed), now: loop.now)
      main.receiver = self
      spare.receiver = self
      drain()
    }

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      let onSpare = datagram.path.local == spare.localAddress
      if !onSpare, !asked.contains(datagram.path.remote) { unsolicited += 1 }
      _ = probe.receive(
        Array(datagram.bytes), from: datagram.path.remote, onSpare: onSpare, now: now)
      if firstAnswer == nil, !probe.reflexive.isEmpty { firstAnswer = loop.elapsed }
      drain()
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}

    private func drain() {
      while let effect = probe.nextEffect() {
        if !effect.fromSpare { asked.insert(effect.destination) }
        (effect.fromSpare ? spare : main).send(effect.bytes, to: effect.destination)
      }
      guard let timeout = probe.timeout else { return }
      loop.after(timeout - loop.now) { [weak self] in
        guard let self else { return }
        probe.handleTimeout(now: loop.now)
        drain()
      }
    }

    func measure() -> NATReport {
      _ = loop.run(for: .seconds(10)) { probe.isComplete }
      return probe.report
    }
  }

  @Test("every kind of NAT is known for what it is", arguments: Seeds.all)
  func kinds(seed: UInt64) {
    typealias Row = (SimNAT.Settings?, NATReport.Mapping, NATReport.Filtering, Int?)
    let rows: [Row] = [
      (nil, .none, .endpointIndependent, nil),
      (.fullCone, .endpointIndependent, .endpointIndependent, nil),
      (.addressRestricted, .endpointIndependent, .addressDependent, nil),
      (.portRestricted, .endpointIndependent, .addressAndPortDependent, nil),
      (.linuxHome, .endpointIndependent, .addressAndPortDependent, nil),
      (.linuxOpen, .endpointIndependent, .addressAndPortDependent, nil),
      (.symmetricRandom, .addressAndPortDependent, .addressAndPortDependent, nil),
      (.symmetricRegular, .addressAndPortDependent, .addressAndPortDependent, 1),
      (.addressDependent, .addressDependent, .addressDependent, nil),
    ]
    for (settings, mapping, filtering, delta) in rows {
      let world = World(settings, seed: seed)
      let report = world.measure()
      #expect(report.mapping == mapping && report.filtering == filtering, "\(report)")
      #expect(report.portDelta == delta && !report.isUDPBlocked)
      #expect(report.preservesPort == (settings == nil || settings?.allocation == .preserving))
      #expect(world.firstAnswer == .milliseconds(40), "one round trip gives an address")
      #expect(world.unsolicited == 0, "nothing unasked may reach the punching socket")
      #expect(world.probe.reflexive.first?.with(port: 0) == .clientHost)
    }
  }

  @Test("the next port of a regular NAT follows the last one that was seen")
  func lastPort() throws {
    for delta in [1, 2, -3, 16] {
      var settings = SimNAT.Settings.symmetricRegular
      settings.allocation = .sequential(delta)
      let world = World(settings, seed: 1)
      let report = world.measure()
      #expect(report.portDelta == delta)
      let last = try #require(report.lastPort)
      world.main.send([0], to: .serverHost.with(port: 9))
      let next = try #require(world.nat?.newestPort)
      let ahead = (Int(next) - Int(last)) / delta
      #expect((1...PortGuess.leadMax).contains(ahead), "\(ahead) steps")
    }
  }

  @Test("hairpinning is found, and its lack too")
  func hairpin() {
    for hairpins in [true, false] {
      var settings = SimNAT.Settings.portRestricted
      settings.hairpins = hairpins
      #expect(World(settings, seed: 1).measure().hairpins == hairpins)
    }
  }

  @Test("a single address gives less, and nothing wrong")
  func singleServer() {
    let report = World(.symmetricRandom, seed: 1, isDouble: false).measure()
    #expect(report.mapping == .unknown && report.filtering == .unknown)
  }

  @Test("blocked UDP is noticed within two seconds")
  func blocked() {
    var settings = SimNAT.Settings.fullCone
    settings.blocksUDP = true
    let world = World(settings, seed: 1)
    #expect(world.measure().isUDPBlocked)
    #expect(world.loop.elapsed <= .seconds(2))
  }

  @Test("loss delays a report and does not falsify its mapping", arguments: Seeds.all)
  func loss(seed: UInt64) {
    let report = World(.portRestricted, seed: seed, loss: 0.2).measure()
    #expect([.endpointIndependent, .unknown].contains(report.mapping), "\(report)")
    #expect(report.portDelta == nil)
  }

  @Test("forged answers change nothing")
  func forged() {
    let world = World(.portRestricted, seed: 1)
    var random = SplitMix64(seed: 99)
    for _ in 0..<1_000 {
      var forged = STUNMessage(kind: .success, transaction: TransactionID(using: &random))
      forged.mappedAddress = .otherHost.with(port: 6)
      let taken = world.probe.receive(
        forged.encoded, from: SimStunServer.primary, onSpare: false, now: world.loop.now)
      #expect(!taken)
    }
    #expect(world.probe.reflexive.isEmpty)
  }
}
