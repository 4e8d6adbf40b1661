internal import QuicTransport

/// `qtun netcheck`: what this network is like, what it will allow, and what to change.
struct NetcheckCommand: Sendable {
  let settings: NetcheckSettings

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    let session = NetcheckSession(settings: settings, loop: run.loop, log: run.log)
    let measuring = Task(executorPreference: run.loop) {
      defer { run.note(.dialled) }
      do throws(Failure) {
        return Result<NetworkFacts, Failure>.success(try await session.measure())
      } catch {
        return .failure(error)
      }
    }
    // A signal ends the waiting; what is known by then is printed.
    if case .signal = await run.nextWakeup() { await session.finishEarly() }
    let facts = try await measuring.value.get()
    let report = NetworkReport(facts: facts)
    try StandardOutput.writeLine(run.settings.isJSON ? report.json : report.text)
    return facts.passesUDP == false ? .unreachable : .ok
  }
}

/// Holds a measurement on its loop.
private actor NetcheckSession {
  private let settings: NetcheckSettings
  private let loop: EpollLoop
  private let log: Log
  private var measurement: NetworkMeasurement?

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(settings: NetcheckSettings, loop: EpollLoop, log: Log) {
    self.settings = settings
    self.loop = loop
    self.log = log
  }

  func measure() async throws(Failure) -> NetworkFacts {
    let measurement: NetworkMeasurement
    do throws(RuntimeError) {
      measurement = try NetworkMeasurement(settings, loop: loop, log: log)
    } catch {
      throw Failure(
        .internalError, "cannot open a UDP socket: \(error)",
        fix: "check what confines this process, such as a container or a security module")
    }
    self.measurement = measurement
    return await withCheckedContinuation { continuation in
      measurement.start { continuation.resume(returning: $0) }
    }
  }

  func finishEarly() {
    measurement?.finish()
  }
}
