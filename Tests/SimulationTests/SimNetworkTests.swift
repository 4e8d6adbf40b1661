import QuicTransport
import Simulation
import Testing

@Suite("SimNetwork")
struct SimNetworkTests {
  /// Writes down what arrives.
  private final class Receiver: DatagramReceiver {
    var arrivals: [(bytes: [UInt8], path: NetworkPath, ecn: ECN, at: Instant)] = []
    var writable = 0

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      arrivals.append((Array(datagram.bytes), datagram.path, datagram.ecn, now))
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) { writable += 1 }
  }

  private struct Pair {
    let loop = SimLoop()
    let network: SimNetwork
    let sender: SimSocket
    let receiver: SimSocket
    let record = Receiver()

    init(seed: UInt64 = 1, _ configure: (inout LinkSettings) -> Void = { _ in }) {
      var link = LinkSettings()
      configure(&link)
      network = SimNetwork(loop: loop, seed: seed, defaults: link)
      sender = network.bind(.clientHost)
      receiver = network.bind(SocketAddress.serverHost.with(port: 80))
      receiver.receiver = record
    }

    @discardableResult
    func send(_ bytes: [UInt8], segment: Int? = nil, ecn: ECN = .capable0) -> SendResult {
      bytes.withUnsafeBytes {
        sender.send(
          DatagramBatch(
            bytes: $0, segmentSize: segment ?? bytes.count,
            path: NetworkPath(local: sender.localAddress, remote: receiver.publicAddress),
            ecn: ecn))
      }
    }

    func send(_ count: Int, of size: Int) {
      for _ in 0..<count { send([UInt8](repeating: 7, count: size)) }
    }

    var delays: [Duration] { record.arrivals.map { $0.at - SimLoop.start } }
  }

  @Test("a datagram arrives unchanged after exactly the latency, with path and mark")
  func latency() {
    let pair = Pair { $0.latency = .milliseconds(7) }
    pair.send([1, 2, 3])
    pair.loop.run(for: .seconds(1))
    let arrival = pair.record.arrivals.first
    #expect(pair.delays == [.milliseconds(7)])
    #expect(arrival?.bytes == [1, 2, 3] && arrival?.ecn == .capable0)
    #expect(arrival?.path.local == pair.receiver.localAddress)
    #expect(arrival?.path.remote == pair.sender.localAddress)
  }

  @Test("losses come in bursts of the given length, at the given rate", arguments: Seeds.first(20))
  func bursts(seed: UInt64) {
    let pair = Pair(seed: seed) {
      $0.lossRate = 0.12
      $0.lossBurst = 25
      $0.latency = .zero
    }
    var fates: [Bool] = []
    for index in 0..<50_000 {
      pair.send([UInt8(index % 256)])
      let count = pair.record.arrivals.count
      pair.loop.run(for: .microseconds(1))
      fates.append(pair.record.arrivals.count > count)
    }
    let lost = fates.count { !$0 }
    #expect(abs(lost - 6_000) < 1_500, "\(lost)")
    let runs = fates.split(separator: true).dropLast().map(\.count)
    #expect(runs.allSatisfy { $0 >= 25 })
  }

  @Test("a batch arrives as its segments, the last one shorter")
  func segments() {
    let pair = Pair()
    pair.send([1, 2, 3, 4, 5, 6, 7], segment: 3)
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.map(\.bytes) == [[1, 2, 3], [4, 5, 6], [7]])
  }

  @Test("loss, duplication and corruption happen at their rates", arguments: Seeds.first(20))
  func rates(seed: UInt64) {
    let lossy = Pair(seed: seed) { $0.lossRate = 0.2 }
    lossy.send(5_000, of: 10)
    lossy.loop.run(for: .seconds(1))
    #expect(abs(lossy.record.arrivals.count - 4_000) < 150)

    let doubling = Pair(seed: seed) { $0.duplicationRate = 0.1 }
    doubling.send(5_000, of: 10)
    doubling.loop.run(for: .seconds(1))
    #expect(abs(doubling.record.arrivals.count - 5_500) < 150)

    let corrupting = Pair(seed: seed) { $0.corruptionRate = 0.1 }
    corrupting.send(5_000, of: 10)
    corrupting.loop.run(for: .seconds(1))
    let changed = corrupting.record.arrivals.map { $0.bytes.filter { $0 != 7 }.count }
    #expect(changed.count == 5_000 && changed.allSatisfy { $0 <= 1 })
    #expect(abs(changed.reduce(0, +) - 500) < 150)
  }

  @Test("jitter stays within its bound and reorders; reordering delays by its own amount")
  func delays() {
    let jittery = Pair { $0.jitter = .milliseconds(4) }
    jittery.send(1_000, of: 10)
    jittery.loop.run(for: .seconds(1))
    #expect(jittery.delays.allSatisfy { $0 >= .milliseconds(5) && $0 < .milliseconds(9) })
    #expect(Set(jittery.delays).count > 900)

    let reordering = Pair { $0.reorderingRate = 0.25 }
    reordering.send(2_000, of: 10)
    reordering.loop.run(for: .seconds(1))
    let late = reordering.delays.filter { $0 == .milliseconds(15) }.count
    #expect(abs(late - 500) < 100)
    #expect(reordering.delays.filter { $0 == .milliseconds(5) }.count == 2_000 - late)
  }

  @Test("a busy link sends one after the other, and drops what its queue does not hold")
  func rate() {
    // 1028 bytes at 1.028 MB/s take a millisecond.
    let pair = Pair {
      $0.bitsPerSecond = 8_224_000
      $0.queueBytes = 10 * 1_028
    }
    pair.send(15, of: 1_000)
    pair.loop.run(for: .seconds(1))
    #expect(pair.delays == (1...10).map { .milliseconds(5 + $0) })
    pair.send(1, of: 1_000)
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.count == 11)
  }

  @Test("packets larger than the MTU vanish, headers counted")
  func mtu() {
    let pair = Pair { $0.mtu = 1_500 }
    pair.send(1, of: 1_472)
    pair.send(1, of: 1_473)
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.map(\.bytes.count) == [1_472])
  }

  @Test("each direction is its own, and may become a black hole")
  func directions() {
    let pair = Pair()
    pair.network.link(from: .serverHost, to: .clientHost).settings.isBlackhole = true
    pair.send([1])
    pair.network.link(from: .clientHost, to: .serverHost).settings.isBlackhole = true
    pair.send([2])
    pair.network.configure(.clientHost, .serverHost) { $0.isBlackhole = false }
    pair.send([3])
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.map(\.bytes) == [[1], [3]])
  }

  @Test("only capable datagrams are marked, and marks can be cleared")
  func congestionMarks() {
    let pair = Pair { $0.congestionMarkRate = 1 }
    pair.send([1], ecn: .capable0)
    pair.send([2], ecn: .notCapable)
    pair.network.link(from: .clientHost, to: .serverHost).settings.clearsECN = true
    pair.send([3], ecn: .capable0)
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.map(\.ecn) == [.congestionExperienced, .notCapable, .notCapable])
  }

  @Test("a new binding of the translator is seen by others, the old one leads nowhere")
  func rebinding() {
    let pair = Pair()
    let public1 = SocketAddress.otherHost.with(port: 1)
    let old = pair.receiver.publicAddress
    pair.receiver.rebind(to: public1)
    pair.send([1])
    pair.network.inject([2], from: pair.sender.localAddress, to: old)
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.map(\.bytes) == [[1]])
    #expect(pair.record.arrivals.first?.path.local == old)
  }

  @Test("a blocked socket keeps one batch, sends it later and says so")
  func blocking() {
    let pair = Pair()
    let owner = Receiver()
    pair.sender.receiver = owner
    pair.sender.block(for: .milliseconds(10))
    let result = pair.send([1, 2], segment: 1)
    guard case .blocked = result else {
      Issue.record("not blocked")
      return
    }
    #expect(pair.sender.isBlocked)
    pair.loop.run(for: .milliseconds(20))
    #expect(pair.record.arrivals.map(\.bytes) == [[1], [2]])
    #expect(pair.delays == [.milliseconds(15), .milliseconds(15)])
    #expect(owner.writable == 1 && !pair.sender.isBlocked)
  }

  @Test("a closed socket neither receives nor sends, and its address is free again")
  func closing() {
    let pair = Pair()
    pair.send([1])
    pair.receiver.close()
    pair.loop.run(for: .seconds(1))
    #expect(pair.record.arrivals.isEmpty)
    _ = pair.network.bind(pair.receiver.localAddress)
    let port = pair.sender.localAddress.port
    pair.sender.close()
    pair.send([2])
    #expect(pair.network.sentCount == 1)
    #expect(pair.network.bind(.clientHost).localAddress.port != port)
  }

  @Test("one seed gives one trace, another seed another")
  func trace() {
    func trace(_ seed: UInt64) -> TraceHash {
      let pair = Pair(seed: seed) {
        $0.lossRate = 0.1
        $0.jitter = .milliseconds(3)
      }
      pair.send(500, of: 100)
      pair.loop.run(for: .seconds(1))
      return pair.network.trace
    }
    #expect(trace(1) == trace(1))
    #expect(trace(1) != trace(2))
  }
}
