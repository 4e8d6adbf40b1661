import Glibc
import QuicTransport
import Tunnel

// A peer that means ill and holds a valid ticket: opens a session of `qtun share`, then misuses it as
// fast as it can. It speaks the protocol by itself, as docs/protocol.md has it.
//
//     qtun-flood TICKET streams COUNT SECONDS     opens and resets that many flows, for so long at most
//     qtun-flood TICKET refused COUNT SECONDS     asks for a service that does not exist
//     qtun-flood TICKET datagrams COUNT SECONDS   DATAGRAM frames: new flows, endless fragments, noise
//
// The share has a UDP service, a dynamic one and `web`, in this order.
// One line with a JSON object: how many there were, in how many seconds, and whether the session stood.

@main
struct QtunFlood {
  static func main() async throws {
    let words = CommandLine.arguments.dropFirst()
    guard words.count == 4, let attack = Attack(rawValue: words[2]), let count = Int(words[3]),
      let seconds = Int(words[4])
    else {
      print("usage: qtun-flood TICKET streams|refused|datagrams COUNT SECONDS")
      exit(2)
    }
    let loop = try EpollLoop()
    try loop.start()
    let flood = Flood(loop: loop)
    let connection = try await flood.open(Ticket(words[1]))
    let started = ContinuousClock.now
    let attacker = Task(executorPreference: loop) {
      await flood.run(attack, on: connection, count: count)
    }
    let watch = Task(executorPreference: loop) {
      try await Task.sleep(for: .seconds(seconds))
      attacker.cancel()
    }
    await attacker.value
    watch.cancel()
    let time = ContinuousClock.now - started
    let milliseconds =
      time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000
    let done = await flood.count
    let error = await flood.error
    let isOpen = error == nil
    if let error {
      let line = "\(error)\n"
      write(STDERR_FILENO, line, line.utf8.count)
    }
    let lost = await flood.framesLost
    let facts = #""count": \#(done), "unsent": \#(lost), "milliseconds": \#(milliseconds)"#
    print(#"{\#(facts), "open": \#(isOpen)}"#)
    await connection.close(code: 0, reason: "done")
  }
}

enum Attack: String {
  case streams
  case refused
  case datagrams
}

/// The attacker, on its loop.
actor Flood {
  /// Flows or frames so far.
  private(set) var count = 0
  /// Frames given to the connection, and those that it dropped.
  private var framesQueued: UInt64 = 0
  private(set) var framesLost: UInt64 = 0
  /// Why it could not go on.
  private(set) var error: String?
  private let loop: EpollLoop
  private var endpoint: QuicEndpoint?
  private var control: QuicStream?

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(loop: EpollLoop) {
    self.loop = loop
  }

  /// Opens a session; on a busy machine a greeting may take too long.
  func open(_ ticket: Ticket) async throws -> QuicConnection {
    for _ in 1..<Self.attempts {
      if let connection = try? await greet(ticket) { return connection }
    }
    return try await greet(ticket)
  }

  private static let attempts = 5

  /// Dials and greets as an honest dialer does.
  private func greet(_ ticket: Ticket) async throws -> QuicConnection {
    var transport = TransportSettings()
    transport.idleTimeout = .seconds(60)
    // It answers no probes of paths, so packets have to show that it lives.
    transport.keepAliveInterval = .milliseconds(500)
    let settings = EndpointSettings(
      authentication: .rawPublicKey(.generate()), applicationProtocols: ["qtun/1"],
      transport: transport, acceptsConnections: false)
    let endpoint = try await QuicEndpoint.bind(to: .any, settings: settings, loop: loop)
    self.endpoint = endpoint
    let connection = try await endpoint.connect(
      to: ConnectTarget(
        address: ticket.addresses[0], expectedPeer: ticket.identity, serverName: nil))
    let exported = await connection.exportKeyingMaterial(
      label: "EXPORTER-qtun-capability", context: [], count: 32)
    let proof = Crypto.hmacSHA256(
      key: ticket.capability, Array("qtun/1 capability".utf8) + (exported ?? []))
    let control = try await connection.openStream()
    self.control = control
    // HELLO: version 1, UDP flows, with targets too; no grant.
    try await control.write([0x01, 36, 1, 0x09, 32] + proof + [0])
    // WELCOME, or nothing.
    guard try await !control.read(upTo: 4_096).isEmpty else { throw StreamError.cancelled }
    return connection
  }

  func run(_ attack: Attack, on connection: QuicConnection, count total: Int) async {
    do {
      for number in 0..<total {
        if Task.isCancelled { return }
        switch attack {
        case .streams: try await spoil(connection, service: "web")
        case .refused: try await spoil(connection, service: "nope")
        case .datagrams: try await send(frame(number), on: connection)
        }
        count += 1
      }
    } catch StreamError.cancelled {
      return
    } catch is CancellationError {
      return
    } catch {
      self.error = "\(error)"
    }
  }

  /// Sends a frame when the network has those before it: else our own queue would drop them.
  private func send(_ frame: [UInt8], on connection: QuicConnection) async throws {
    try await connection.sendDatagram(frame)
    framesQueued += 1
    while framesQueued % Self.framesAtOnce == 0 {
      let statistics = await connection.statistics
      let left = statistics.datagramFramesSent + statistics.datagramFramesDropped
      framesLost = statistics.datagramFramesDropped
      if left >= framesQueued { return }
      try await Task.sleep(for: .microseconds(200))
    }
  }

  private static let framesAtOnce: UInt64 = 64

  private func spoil(_ connection: QuicConnection, service: String) async throws(StreamError) {
    let stream = try await connection.openStream()
    try await stream.write([1, UInt8(service.utf8.count)] + Array(service.utf8) + [0x71])
    await stream.reset(code: 0x100)
    await stream.stopReading(code: 0x100)
  }

  /// A flow of its own each: to the service, to a target, a fragment that stays alone, or noise.
  private func frame(_ number: Int) -> [UInt8] {
    let word = UInt64(number) | 0xc0 << 56
    let flow = (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
    switch number % 4 {
    case 0: return flow + [0x00, 0x00, 0x71]
    case 1:
      let address = (0..<3).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      return flow + [0x40, 0x41, 0x00, 1, 127] + address + [0, 9, 0x71]
    case 2: return flow + [0x00, 0x01] + flow + [0, 2] + [UInt8](repeating: 0x71, count: 1_000)
    default: return [UInt8](repeating: 0xff, count: 1 + number % 100)
    }
  }
}
