import Simulation
import Testing

@testable import QuicTransport

/// Calls of the API at random, on whatever there is, in any state, while the network fails at
/// random: nothing aborts, nothing arrives wrong, nothing stays behind.
@Suite("API spinning")
struct SpinTests {
  @Test("any calls on a failing network leave a working endpoint", arguments: Seeds.all)
  func spin(seed: UInt64) throws {
    var spin = try Spin(seed: seed)
    for _ in 0..<Spin.steps { spin.step() }
    try spin.finish()
  }
}

/// One run; everything in it follows from the seed.
private struct Spin {
  static let steps = 400

  private let world: World
  private let pattern = Pattern(seed: 9)
  private var random: SplitMix64
  private var dialled: [ConnectionProbe] = []
  /// Connections of either side that were given up; calls go on all the same.
  private var ends: [ConnectionProbe] { dialled + world.accepted }
  private var own: [StreamProbe] = []
  private let log = DatagramLog()

  init(seed: UInt64) throws {
    random = SplitMix64(seed: seed)
    world = try World { options in
      options.seed = seed
      options.transport { transport in
        transport.idleTimeout = .seconds(30)
        transport.streamWindowInitial = 65_536
        transport.bidirectionalStreamsMax = 20
      }
    }
    let (pattern, log) = (pattern, log)
    world.onAccepted = { probe in probe.onOpened = { $0.expect(pattern) } }
    world.network.onSend = { log.note($0) }
    dial()
  }

  private mutating func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

  private mutating func pick<Element>(_ list: [Element]) -> Element? {
    list.isEmpty ? nil : list[below(list.count)]
  }

  /// Small ones, large ones, and those that do not fit a varint.
  private mutating func code() -> UInt64 {
    switch below(4) {
    case 0: 0
    case 1: UInt64(below(1_000))
    case 2: random.next() >> 2
    default: random.next() | 1 << 63
    }
  }

  private mutating func dial() {
    guard let probe = try? world.dial() else { return }
    let pattern = pattern
    probe.onOpened = { $0.expect(pattern) }
    dialled.append(probe)
  }

  mutating func step() {
    switch below(16) {
    case 0...2: open()
    case 3...7: if let stream = pick(own + ends.flatMap(\.opened)) { call(stream) }
    case 8, 9: if let end = pick(ends) { call(end) }
    case 10, 11: fail()
    case 12: disturb()
    case 13: if dialled.count < Self.connectionsMax { dial() }
    default: wait()
    }
  }

  private mutating func open() {
    guard let end = pick(ends), let stream = try? end.open(unidirectional: below(3) == 0) else {
      return
    }
    stream.expect(pattern)
    own.append(stream)
  }

  private mutating func call(_ probe: StreamProbe) {
    let stream = probe.stream
    switch below(9) {
    case 0...3: probe.send(below(100_000), of: pattern, finishing: below(4) == 0)
    case 4: stream.finish()
    case 5: stream.reset(code: code())
    case 6: stream.stopReceiving(code: code())
    case 7: probe.reads.toggle()
    default: _ = (stream.sendCapacity, stream.unacknowledgedCount, stream.isAtEnd)
    }
  }

  private mutating func call(_ end: ConnectionProbe) {
    guard let connection = end.connection else { return }
    switch below(12) {
    case 0...3:
      let size = [0, 1, 1_000, connection.datagramSizeMax, 65_536][below(5)]
      try? connection.sendDatagram([UInt8](repeating: 7, count: size))
    case 4: _ = connection.updateKeys()
    case 5: _ = connection.migrate(to: connection.currentPath)
    case 6: connection.suspend()
    case 7: connection.resume()
    case 8: connection.keepAlive(every: .milliseconds(below(5_000)))
    case 9: _ = connection.exportKeyingMaterial(label: "spin", context: [1], count: below(64))
    case 10:
      _ = (connection.statistics, connection.makeResetQuestion(), connection.packetSizeMax)
      _ = (connection.peer, connection.cipherName, connection.version, connection.bytesInFlight)
    default:
      // Rarely, or there is nothing to spin on.
      guard below(4) == 0 else { return }
      connection.close(code: code(), reason: String(repeating: "spin ", count: below(600)))
    }
  }

  /// The network and the sockets go wrong.
  private mutating func fail() {
    let rate = Double(below(50)) / 100
    let kind = below(9)
    world.network.configure(.clientHost, .serverHost) { link in
      switch kind {
      case 0: link.lossRate = rate
      case 1: link.duplicationRate = rate
      case 2: link.reorderingRate = rate
      case 3: link.corruptionRate = rate / 4
      case 4: link.mtu = rate < 0.2 ? 1_280 : 1_500
      case 5: link.isBlackhole = rate > 0.4
      case 6: link.bitsPerSecond = rate < 0.3 ? 1_000_000 : nil
      default: link = LinkSettings()
      }
    }
    guard kind == 8 else { return }
    let socket = below(2) == 0 ? world.clientSocket : world.serverSocket
    socket.block(for: .milliseconds(below(500)))
  }

  /// Old datagrams come again, whole or damaged, or garbage does.
  private mutating func disturb() {
    guard var datagram = pick(log.recent), !datagram.bytes.isEmpty else { return }
    switch below(3) {
    case 0: datagram.bytes[below(datagram.bytes.count)] ^= UInt8(1 + below(255))
    case 1:
      let count = below(1_500)
      datagram.bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    default: break
    }
    world.network.inject(datagram.bytes, from: datagram.from, to: datagram.to)
  }

  /// Mostly a moment, now and then a leap as of a machine that slept.
  private mutating func wait() {
    let isLeap = below(40) == 0
    world.loop.run(for: isLeap ? .seconds(below(7_200)) : .milliseconds(below(200)))
  }

  mutating func finish() throws {
    for stream in own + ends.flatMap(\.opened) {
      #expect(stream.wrongAt == nil, "a wrong byte at \(stream.wrongAt ?? 0)")
    }
    world.network.configure(.clientHost, .serverHost) { $0 = LinkSettings() }
    world.loop.run(for: .seconds(1))
    #expect(try world.connect().client.isReady)
    for end in ends { end.connection?.close(code: 0, reason: "") }
    world.loop.run(for: .seconds(300))
    #expect(world.client.connectionCount == 0 && world.server.connectionCount == 0)
  }

  private static let connectionsMax = 6
}

/// The last datagrams that anybody sent.
private final class DatagramLog {
  private(set) var recent: [SimDatagram] = []

  func note(_ datagram: SimDatagram) {
    if recent.count == 32 { recent.removeFirst() }
    recent.append(datagram)
  }
}
