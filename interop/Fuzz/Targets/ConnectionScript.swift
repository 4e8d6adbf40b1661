import Simulation

@testable import QuicTransport

/// Makes both ends of a connection, and the network between them, do what an input says. Then the
/// network heals, everybody reads, and what was finished must have arrived.
struct ConnectionScript {
  private let world: FuzzWorld
  private var input: FuzzInput
  private var ends: [FuzzEnd] = []
  private var steps = 0
  /// ngtcp2 1.11 can need longer than the idle timeout to follow an address that changed several
  /// times while packets were lost. The tunnel hides such changes from it (see PathManager).
  private var hasMoved = false

  init(world: FuzzWorld, input: FuzzInput) {
    self.world = world
    self.input = input
  }

  mutating func run() {
    guard let connected = try? world.connect() else {
      return require(false, "no connection on a network without faults")
    }
    ends = [connected.client, connected.server]
    while !input.isEmpty, steps < Self.stepsMax {
      step()
      steps += 1
    }
    heal()
  }

  private mutating func step() {
    let action = input.byte()
    let end = ends[Int(action >> 7)]
    switch action & 0x0f {
    case 0: end.openStream(unidirectional: action & 0x10 != 0)
    case 1: chosen(of: end)?.write(input.uint16())
    case 2: chosen(of: end)?.finish()
    case 3: chosen(of: end)?.reset()
    case 4: chosen(of: end)?.stopReceiving()
    case 5: chosen(of: end)?.read(1 + input.uint16())
    case 6: chosen(of: end)?.reads = action & 0x10 != 0
    case 7: try? end.connection?.sendDatagram(input.piece())
    case 8, 9: world.loop.run(for: .milliseconds(Int64(input.byte())))
    case 10: changeLinks()
    case 11: world.throwAtServer(input.piece())
    case 12: replay()
    case 13: _ = end.connection?.updateKeys()
    case 14: world.clientSocket.block(for: .milliseconds(Int64(input.byte())))
    default: move()
    }
  }

  private mutating func chosen(of end: FuzzEnd) -> FuzzStream? {
    let choice = Int(input.byte())
    return end.streams.isEmpty ? nil : end.streams[choice % end.streams.count]
  }

  private mutating func changeLinks() {
    let kind = input.byte()
    let rate = Double(input.byte() % 64) / 128
    world.changeLinks { link in
      switch kind % 6 {
      case 0: link.lossRate = rate
      case 1: link.duplicationRate = rate
      case 2: link.reorderingRate = rate
      case 3: link.corruptionRate = rate
      case 4: link.congestionMarkRate = rate
      default: link.isBlackhole = rate > 0.4
      }
    }
  }

  /// A datagram from before comes again, from where it came or changed.
  private mutating func replay() {
    let choice = Int(input.byte())
    let (offset, mask) = (input.uint16(), input.byte())
    guard !world.recent.isEmpty else { return }
    var datagram = world.recent[choice % world.recent.count]
    guard !datagram.bytes.isEmpty else { return }
    datagram.bytes[offset % datagram.bytes.count] ^= mask
    world.network.inject(datagram.bytes, from: datagram.from, to: datagram.to)
  }

  /// The client's address translator gives it another port.
  private mutating func move() {
    let port = UInt16(40_000 + Int(input.byte()))
    guard world.clientSocket.publicAddress.port != port else { return }
    hasMoved = true
    world.clientSocket.rebind(to: world.clientSocket.publicAddress.with(port: port))
  }

  private func heal() {
    world.changeLinks { $0 = LinkSettings() }
    for stream in ends.flatMap(\.streams) {
      stream.reads = true
      stream.streamReadable(stream.stream)
    }
    _ = world.loop.run(for: .seconds(20)) { isOver || hasArrived }
    require(isOver || hasMoved || hasArrived, "bytes that were sent have not arrived")
  }

  private var isOver: Bool { ends.contains { $0.error != nil } }

  /// Every byte, and every end, of the streams that nobody gave up.
  private var hasArrived: Bool {
    ends[0].streams.allSatisfy { stream in
      guard let other = ends[1].streams.first(where: { $0.stream.id == stream.stream.id }) else {
        // The peer learns of a stream by its first bytes.
        return stream.isAbandoned || (stream.sent == 0 && !stream.isFinished)
      }
      if stream.isAbandoned || other.isAbandoned { return true }
      return other.received == stream.sent && stream.received == other.sent
        && (!stream.isFinished || other.sawEnd) && (!other.isFinished || stream.sawEnd)
    }
  }

  private static let stepsMax = 200
}
