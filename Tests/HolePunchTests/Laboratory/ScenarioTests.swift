import HolePunch
import QuicTransport
import Simulation
import Testing

/// What the acceptance numbers of peer-to-peer connections ask for, in virtual time.
@Suite("Punch laboratory")
struct ScenarioTests {
  private func times(
    _ runs: Int, within limit: Duration, skew: Duration = .zero,
    _ configure: (inout PunchWorld.Options) -> Void, prepare: (PunchWorld) -> Void = { _ in }
  ) -> [Duration?] {
    (0..<runs).map { run in
      let world = PunchWorld {
        $0.seed = Seeds.all[run % Seeds.all.count] &+ UInt64(run / Seeds.all.count) &* 1_000
        configure(&$0)
      }
      prepare(world)
      world.start(skew: skew)
      return world.timeToDirect(within: limit)
    }
  }

  private func report(_ what: String, _ times: [Duration?]) {
    let known = times.compactMap(\.self).sorted()
    let figures = [known.first, known.isEmpty ? nil : known[known.count / 2], known.last]
      .map { $0.map { "\(Int($0.seconds * 1_000))" } ?? "-" }.joined(separator: "/")
    print("\(what): \(known.count) of \(times.count), min/median/max \(figures) ms")
  }

  @Test(
    "Linux home routers: within 0.5 s of the later start, however much later",
    arguments: [0, 100, 600, 2_000, 10_000, 120_000])
  func skew(milliseconds: Int) {
    let times = times(Seeds.all.count, within: .seconds(5), skew: .milliseconds(milliseconds)) {
      $0.first = .linuxHome
      $0.second = .linuxHome
    }
    report("home x home, \(milliseconds) ms apart", times)
    #expect(times.allSatisfy { $0.map { $0 <= .milliseconds(500) } ?? false }, "\(times)")
  }

  @Test("Linux gateways with open INPUT on both sides: within 1 s, 20 of 20")
  func openGateways() {
    let times = times(20, within: .seconds(5)) {
      $0.first = .linuxOpen
      $0.second = .linuxOpen
      $0.link.jitter = .milliseconds(10)
    }
    report("open x open", times)
    #expect(times.allSatisfy { $0.map { $0 <= .seconds(1) } ?? false }, "\(times)")
  }

  @Test("without primers, or with a plan that is late, the port is spoilt, and a fresh one helps")
  func spoiltPort() {
    for primers: [UInt8] in [[], [3, 4, 5]] {
      let world = PunchWorld {
        $0.first = .linuxOpen
        $0.second = .linuxOpen
        $0.settings.primerHopLimits = primers
        $0.planSkew = .milliseconds(500)
      }
      world.start()
      #expect(world.timeToDirect(within: .milliseconds(1_500)) == nil, "500 ms spoil any hold")
      #expect(world.first.freshPorts == 0)
    }
    // The rendezvous knows better the second time.
    let late = PunchWorld {
      $0.first = .linuxOpen
      $0.second = .linuxOpen
      $0.planSkew = .milliseconds(500)
      $0.laterPlanSkew = .zero
    }
    late.start()
    let time = late.timeToDirect(within: .seconds(10))
    report("open x open, first plan late", [time])
    #expect(time.map { $0 <= .seconds(3) } ?? false)
    #expect(late.first.freshPorts > 0 || late.second.freshPorts > 0)
    #expect(late.pathCarries)
  }

  @Test("symmetric x port restricted: 98 % within 3 s, both ways round")
  func birthday() {
    let runs = 8 * Seeds.all.count
    for settings in [SimNAT.Settings.portRestricted, .linuxOpen] {
      let times = times(runs, within: .seconds(3)) {
        let hardIsFirst = $0.seed.isMultiple(of: 2)
        $0.first = hardIsFirst ? .symmetricRandom : settings
        $0.second = hardIsFirst ? settings : .symmetricRandom
      }
      report("symmetric random x \(settings.allocation)", times)
      let count = times.count { $0 != nil }
      #expect(count * 100 >= runs * 98, "\(count) of \(runs)")
    }
  }

  @Test("symmetric regular x symmetric regular: 90 % within 3 s while others use the NATs too")
  func prediction() {
    let runs = 4 * Seeds.all.count
    for delta in [1, 2, 5] {
      let times = times(
        runs, within: .seconds(3),
        {
          $0.first = .symmetricRegular
          $0.second = .symmetricRegular
          $0.second?.allocation = .sequential(delta)
          $0.link.lossRate = 0.02
        }, prepare: { world in world.addNoise(every: .milliseconds(60)) })
      report("symmetric +1 x symmetric +\(delta), busy", times)
      let count = times.count { $0 != nil }
      #expect(count * 100 >= runs * 90, "\(count) of \(runs)")
    }
  }

  @Test("same NAT without hairpin, public hosts, IPv6: within 0.3 s")
  func nearby() {
    for settings in [SimNAT.Settings.linuxHome, .symmetricRandom, .linuxOpen] {
      let times = times(Seeds.all.count, within: .seconds(3)) {
        $0.first = settings
        $0.isShared = true
      }
      report("same NAT", times)
      #expect(times.allSatisfy { $0.map { $0 <= .milliseconds(300) } ?? false }, "\(times)")
    }
    for isIPv6 in [false, true] {
      let open = times(Seeds.all.count, within: .seconds(3)) { $0.isIPv6 = isIPv6 }
      report(isIPv6 ? "IPv6" : "no NAT", open)
      #expect(open.allSatisfy { $0.map { $0 <= .milliseconds(300) } ?? false })
    }
  }

  @Test("32 addresses that lead nowhere: within 2 s")
  func uselessAddresses() {
    let useless = (0..<40).map { index in
      Candidate(
        address: SocketAddress(ipv4: 0x0a01_0000 | UInt32(index), port: 7), kind: .local)
    }
    let public6 = (0..<31).map { index in
      Candidate(
        address: SocketAddress(high: 0x2001_0db8 << 32, low: 0x1000 + UInt64(index), port: 7),
        kind: .global)
    }
    for candidates in [useless, public6] {
      let times = times(
        Seeds.all.count, within: .seconds(5),
        {
          $0.first = .portRestricted
          $0.second = .portRestricted
        },
        prepare: {
          $0.first.uselessCandidates = candidates
          $0.second.uselessCandidates = candidates
        })
      report("\(candidates.count) useless addresses", times)
      #expect(times.allSatisfy { $0.map { $0 <= .seconds(2) } ?? false }, "\(times)")
    }
  }

  @Test("12 % loss in bursts of 25 at 450 ms: direct within 15 s, 9 of 10")
  func bursts() {
    let runs = 4 * Seeds.all.count
    let times = times(
      runs, within: .seconds(15),
      {
        $0.first = .linuxHome
        $0.second = .linuxHome
        $0.roundTrip = .milliseconds(450)
        $0.delays = [.milliseconds(225), .milliseconds(225)]
      },
      prepare: {
        $0.network.configure(PunchWorld.firstNAT, PunchWorld.secondNAT) {
          $0.lossRate = 0.12
          $0.lossBurst = 25
        }
      })
    report("12 % in bursts of 25, 450 ms", times)
    let count = times.count { $0 != nil }
    #expect(count * 10 >= runs * 9, "\(count) of \(runs)")
  }

  @Test("two translators in series on one side", arguments: Seeds.all)
  func series(seed: UInt64) {
    let world = PunchWorld {
      $0.seed = seed
      $0.first = .portRestricted
      $0.second = .linuxHome
    }
    let carrier = world.network.addTranslator(
      at: SocketAddress(ipv4: 0xcb00_7177, port: 0), .portRestricted)
    carrier.attach(PunchWorld.firstNAT)
    world.start()
    let time = world.timeToDirect(within: .seconds(5))
    #expect(time.map { $0 <= .milliseconds(500) } ?? false, "\(String(describing: time))")
    #expect(world.pathCarries)
  }

  @Test("blocked UDP is said, and rounds are asked for ever more rarely, but for ever")
  func blocked() {
    let world = PunchWorld {
      $0.first = .linuxHome
      $0.second = .linuxHome
    }
    world.nats[1].settings.blocksUDP = true
    world.start()
    #expect(world.timeToDirect(within: .seconds(600)) == nil)
    #expect(world.first.failures.contains { $0.failure == .udpBlocked })
    let wanted = world.first.roundsWanted
    #expect((8...14).contains(wanted), "\(wanted) in ten minutes")
    #expect(world.first.sentCount == 0)
    world.nats[1].settings.blocksUDP = false
    #expect(world.timeToDirect(within: .seconds(65)) != nil, "it has not given up")
  }

  @Test("a hopeful round that fails is not repeated all the time, and the search rests")
  func budget() {
    let world = PunchWorld {
      $0.first = .symmetricRandom
      $0.second = .portRestricted
    }
    world.network.configure(PunchWorld.firstNAT, PunchWorld.secondNAT) { $0.isBlackhole = true }
    world.start()
    #expect(world.timeToDirect(within: .seconds(540)) == nil)
    let searching = max(world.first.sentCount, world.second.sentCount)
    #expect(searching <= 2_200, "one search in ten minutes: \(searching)")
    #expect(world.second.failures.contains { $0.failure == .searchRests })
    #expect(world.first.socketCount <= 2 && world.second.socketCount <= 2)
    world.network.configure(PunchWorld.firstNAT, PunchWorld.secondNAT) { $0.isBlackhole = false }
    world.first.changeNetwork()
    world.second.changeNetwork()
    #expect(world.timeToDirect(within: .seconds(10)) != nil, "a change of network ends the rest")
  }

  @Test("few descriptors make the search less likely, not wrong")
  func fewSockets() {
    let world = PunchWorld {
      $0.first = .symmetricRandom
      $0.second = .portRestricted
    }
    world.first.socketsMax = 40
    world.start()
    _ = world.timeToDirect(within: .seconds(12))
    #expect(world.first.socketCount <= 40)
  }

  @Test("the socket of a path stays open while another path is looked for")
  func pathSocket() {
    let world = PunchWorld {
      $0.first = .symmetricRandom
      $0.second = .portRestricted
    }
    world.start()
    #expect(world.timeToDirect(within: .seconds(5)) != nil)
    #expect(world.loop.run(for: .seconds(5)) { world.first.socketCount == 2 })
    world.first.changeNetwork()
    world.second.changeNetwork()
    #expect(world.loop.run(for: .seconds(5)) { world.first.machine.state == .punching })
    #expect(world.first.pathSocket != nil)
    #expect(world.loop.run(for: .seconds(5)) { world.isDirect })
    #expect(world.pathCarries)
    #expect(world.loop.run(for: .seconds(2)) { world.first.socketCount == 2 })
  }

  @Test("a NAT that forgets and changes its mind: the next round makes it")
  func changeOfMind() {
    let world = PunchWorld {
      $0.first = .linuxHome
      $0.second = .linuxHome
    }
    world.start()
    #expect(world.timeToDirect(within: .seconds(2)) != nil)
    world.nats[0].settings = .symmetricRandom
    world.nats[0].flush()
    world.first.changeNetwork()
    world.second.changeNetwork()
    #expect(!world.isDirect)
    #expect(world.loop.run(for: .seconds(5)) { world.isDirect })
    #expect(world.pathCarries)
  }
}
