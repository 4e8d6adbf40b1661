import QuicTransport
import Tunnel

/// Honest newcomers: each time, one identity registers at the relay, and another one, which nobody has
/// seen before either, connects through the relay to a share that has been there all the time.
actor Tries {
  private let relay: RendezvousAddress
  private let loop: EpollLoop

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(relay: RendezvousAddress, loop: EpollLoop) {
    self.relay = relay
    self.loop = loop
  }

  func run(for duration: Duration, perSecond: Int) async throws {
    let host = Outcome()
    var configuration = Share.Configuration.waiting(at: relay)
    configuration.path = .relay
    let share = try await Share.open(configuration, loop: loop) { event in
      if case .meeting(.rendezvousReady) = event { host.settle() }
    }
    guard await host.time(within: Self.patience) != nil else {
      return say(#"{"error": "the relay does not answer"}"#)
    }
    let ticket = try Ticket(share.ticket.text)
    say(#"{"ready": true}"#)
    _ = readLine()
    let began = ContinuousClock.now
    await withTaskGroup(of: Void.self) { group in
      while ContinuousClock.now - began < duration {
        group.addTask(executorPreference: self.loop) { await self.tryOnce(ticket) }
        try? await Task.sleep(for: .seconds(1) / perSecond)
      }
    }
    await share.close()
  }

  private func tryOnce(_ ticket: Ticket) async {
    async let registered = register()
    async let connected = connect(ticket)
    let (first, second) = (Self.json(await registered), Self.json(await connected))
    say(#"{"registered": \#(first), "connected": \#(second)}"#)
  }

  private func register() async -> Duration? {
    let outcome = Outcome()
    let share = try? await Share.open(.waiting(at: relay), loop: loop) { event in
      if case .meeting(.rendezvousReady) = event { outcome.settle() }
    }
    let time = await outcome.time(within: Self.patience)
    await share?.close()
    return time
  }

  private func connect(_ ticket: Ticket) async -> Duration? {
    var configuration = Link.Configuration.standard(identity: .generate(), ticket: ticket)
    configuration.opening = .chosen([.anyPort("discard")])
    configuration.path = .relay
    configuration.mapsPort = false
    let outcome = Outcome()
    let opening = Task(executorPreference: loop) { [configuration, loop] in
      let link = try? await Link.open(configuration, loop: loop) { event in
        if case .sessionOpened = event { outcome.settle() }
      }
      await link?.close()
    }
    let time = await outcome.time(within: Self.patience)
    opening.cancel()
    return time
  }

  private static func json(_ time: Duration?) -> String {
    time.map { "\($0.milliseconds)" } ?? "null"
  }

  private static let patience = Duration.seconds(10)
}

/// Something that comes about once, or not in time.
struct Outcome: Sendable {
  private let began = ContinuousClock.now
  private let times: AsyncStream<Duration>
  private let settled: AsyncStream<Duration>.Continuation

  init() {
    (times, settled) = AsyncStream.makeStream(of: Duration.self)
  }

  func settle() {
    settled.yield(ContinuousClock.now - began)
    settled.finish()
  }

  /// How long it took; nil if it took longer than `patience`.
  func time(within patience: Duration) async -> Duration? {
    let watch = Task {
      try? await Task.sleep(for: patience)
      settled.finish()
    }
    defer { watch.cancel() }
    for await time in times { return time }
    return nil
  }
}
