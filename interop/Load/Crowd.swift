import Synchronization

/// Downloads that go on until told to stop, each on its own thread.
final class Crowd: Sendable {
  private let flows: [Flow]
  private let tally = Tally()
  private let isStopped = Atomic<Bool>(false)
  private let threads = Mutex<[WorkerThread]>([])

  /// Starts all flows; they open on their own threads.
  init(client: Client, count: Int) throws(LoadError) {
    flows = (0..<count).map { _ in Flow() }
    for (number, flow) in flows.enumerated() {
      let thread = try WorkerThread { [self] in
        do throws(LoadError) {
          let download = try client.download(bytes: .max, number: number)
          while !isStopped.load(ordering: .relaxed) {
            flow.bytes.add(try download.readSome(), ordering: .relaxed)
          }
          try download.socket.resetOnClose()
        } catch {
          tally.recordLoss(error)
        }
      }
      threads.withLock { $0.append(thread) }
    }
  }

  /// Counts bytes for the given time, after a while that lets the flows settle.
  func measure(seconds: Double) throws(LoadError) -> Rates {
    Clock.sleep(seconds: Self.settlingSeconds)
    let before = flows.map { $0.bytes.load(ordering: .relaxed) }
    let start = Clock.nanoseconds()
    Clock.sleep(seconds: seconds)
    let after = flows.map { $0.bytes.load(ordering: .relaxed) }
    let elapsed = Clock.seconds(since: start)
    if let loss = tally.firstLoss { throw loss }
    return Rates(bytes: zip(after, before).map { $0 - $1 }.sorted(), seconds: elapsed)
  }

  /// Ends all flows and waits for their threads; harmless when repeated.
  func stop() {
    isStopped.store(true, ordering: .relaxed)
    let running = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in running { thread.join() }
  }

  private static let settlingSeconds = 1.5

  private final class Flow: Sendable {
    let bytes = Atomic<Int>(0)
  }

  /// What the flows moved in one measured span, slowest first.
  struct Rates {
    /// Of each flow.
    let bytes: [Int]
    /// The length of the span.
    let seconds: Double

    /// Of all flows together.
    var gbitPerSecond: Double { Double(bytes.reduce(0, +)) * 8 / seconds / 1e9 }

    /// The sum, and how fairly it was shared.
    func add(to report: inout Report, suffix: String) {
      func mbit(_ index: Int) -> Double { Double(bytes[index]) * 8 / seconds / 1e6 }
      report.add("gbit_per_second_\(suffix)", gbitPerSecond)
      report.add("flow_min_mbit_\(suffix)", mbit(0))
      report.add("flow_p50_mbit_\(suffix)", mbit(bytes.count / 2))
      report.add("flow_max_mbit_\(suffix)", mbit(bytes.count - 1))
    }
  }
}
