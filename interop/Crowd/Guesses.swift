import QuicTransport
import Tunnel

/// Somebody at one address who has no token, and tries as many as he can.
///
/// The right one would be answered within a round trip of being looked at, so he does not wait for a
/// refusal that comes late: he leaves and comes back. How long he waits is the question.
actor Guesses {
  private let relay: RendezvousAddress
  private let loop: EpollLoop
  private let patience: Duration
  private var shown = 0
  private var refused = 0

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(relay: RendezvousAddress, loop: EpollLoop, patience: Duration) {
    self.relay = relay
    self.loop = loop
    self.patience = patience
  }

  /// What came of it, as JSON.
  func run(for duration: Duration, atOnce count: Int) async throws -> String {
    let settings = EndpointSettings(
      authentication: .rawPublicKey(.generate()), applicationProtocols: ["qtun-relay/1"],
      transport: TransportSettings(), acceptsConnections: false)
    let endpoint = try await QuicEndpoint.bind(to: .any, settings: settings, loop: loop)
    let end = ContinuousClock.now + duration
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<count {
        group.addTask(executorPreference: self.loop) {
          while ContinuousClock.now < end { await self.guess(endpoint) }
        }
      }
    }
    await endpoint.close(code: 0, reason: "")
    return #"{"shown": \#(shown), "refused": \#(refused)}"#
  }

  private func guess(_ endpoint: QuicEndpoint) async {
    let target = ConnectTarget(
      address: relay.addresses[0], expectedPeer: relay.key, serverName: nil)
    guard let connection = try? await endpoint.connect(to: target),
      let control = try? await connection.openStream()
    else { return }
    // HELLO of version 1 without abilities, and TOKEN with 16 bytes.
    let secret = Identity.generate().publicKey.bytes.prefix(16)
    guard (try? await control.write([1, 2, 1, 0, 0x24, 17, 16] + secret)) != nil else { return }
    shown += 1
    let ended = Outcome()
    let watch = Task(executorPreference: loop) {
      _ = await connection.closed
      ended.settle()
    }
    if await ended.time(within: patience) != nil { refused += 1 }
    await connection.close(code: 0, reason: "")
    await watch.value
  }

  /// Too short for any token that has to wait for its turn.
  static let hasty = Duration.milliseconds(300)
  /// Longer than any token has to wait for its turn, so that every place in the queue is used.
  static let patient = Duration.milliseconds(4_500)
}
