internal import QuicTransport
internal import Tunnel

/// `qtun ping`: bytes through a session and back, with the road that they took.
struct PingCommand: Sendable {
  private let configuration: Link.Configuration
  private let count: UInt64?
  private let untilDirect: Bool

  /// Reads the ticket and the identity, before anything is started.
  init(settings: PingSettings, global: GlobalSettings, console: Console) throws(Failure) {
    let ticket = try ConnectCommand.readTicket(settings.ticket)
    let identity = try settings.session.loadIdentity(console: console, global: global)
    configuration = try Link.Configuration(
      identity: identity, ticket: ticket, opening: .chosen([]), session: settings.session.tunnel,
      dialling: settings.dialling, retry: .never)
    count = settings.count
    untilDirect = settings.untilDirect
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    guard let link = try await run.openLink(configuration, onEvent: { _ in }) else { return .ok }
    let pinging = Pinging(link: link, run: run, count: count, untilDirect: untilDirect)
    Task(executorPreference: run.loop) { run.note(.over(await link.end)) }
    Task(executorPreference: run.loop) {
      await pinging.run()
      run.note(.dialled)
    }
    var lost: TunnelError?
    if case .over(let error) = await run.nextWakeup() { lost = error }
    let tally = await pinging.stop()
    await link.close()
    if let problem = await pinging.problem { throw problem }
    try StandardOutput.writeLine(run.settings.isJSON ? tally.json : tally.text)
    if let lost { throw Failure(lost, identity: configuration.identity.publicKey) }
    if untilDirect { return tally.isDirect ? .ok : .notDirect }
    return tally.sent > 0 && tally.roundTrips.isEmpty ? .unreachable : .ok
  }
}

/// Sends one ping after the other, on the loop, and prints what comes back.
private actor Pinging {
  /// Why no more can be printed.
  private(set) var problem: Failure?

  private let link: Link
  private let run: LoopRun
  private let count: UInt64?
  private let untilDirect: Bool
  private var tally = PingTally()
  private var isStopped = false
  private var pausing: (timer: LoopTimer, continuation: CheckedContinuation<Void, Never>)?

  nonisolated var unownedExecutor: UnownedSerialExecutor { run.unownedExecutor }

  init(link: Link, run: LoopRun, count: UInt64?, untilDirect: Bool) {
    self.link = link
    self.run = run
    self.count = count
    self.untilDirect = untilDirect
  }

  /// Returns when there is nothing more to send.
  func run() async {
    while !isStopped {
      let began = run.loop.now
      let number = tally.begin()
      let answer = await link.ping(within: Self.patience)
      // What is on its way when the end comes is neither answered nor lost.
      guard !isStopped else { return }
      tally.end(answer)
      do throws(Failure) {
        try StandardOutput.writeLine(
          PingTally.line(number, answer, isJSON: run.settings.isJSON))
      } catch {
        problem = error
        return
      }
      if tally.sent == count || (untilDirect && tally.isDirect) { return }
      await pause(until: began + Self.interval)
    }
  }

  /// Ends the run, and says what came of it.
  func stop() -> PingTally {
    isStopped = true
    if let (timer, _) = pausing {
      run.loop.cancel(timer)
      resume()
    }
    return tally
  }

  private func pause(until time: Instant) async {
    guard time > run.loop.now else { return }
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let timer = LoopTimer { [weak self] _ in self?.assumeIsolated { $0.resume() } }
      pausing = (timer, continuation)
      run.loop.schedule(timer, at: time)
    }
  }

  private func resume() {
    pausing?.continuation.resume()
    pausing = nil
  }

  /// As ping(8) does.
  private static let interval = Duration.seconds(1)
  /// What comes later is of no use to whoever waits for it.
  private static let patience = Duration.seconds(5)
}
