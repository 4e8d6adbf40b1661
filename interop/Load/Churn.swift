/// Short connections: connect, one echo, close; many one after the other, some at a time.
struct Churn {
  let client: Client
  let count: Int
  let parallel: Int

  /// Runs all of them and counts those that did not get the right echo.
  func run() throws(LoadError) -> (Report, Tally) {
    let tally = Tally()
    let start = Clock.nanoseconds()
    try WorkerThread.inParallel(parallel) { [self] _ in
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.messageBytes, alignment: 64)
      defer { buffer.deallocate() }
      while let number = tally.nextNumber(below: count) {
        do throws(LoadError) {
          let flow = try client.echo(number: number)
          try flow.send(size: Self.messageBytes)
          try flow.receive(size: Self.messageBytes, buffer: buffer)
        } catch {
          tally.recordLoss(error)
        }
      }
    }
    let seconds = Clock.seconds(since: start)
    var report = Report(mode: "churn")
    report.add("count", count)
    report.add("parallel", parallel)
    report.add("seconds", seconds)
    report.add("per_second", Double(count - tally.lostCount) / seconds)
    tally.addLosses(to: &report)
    return (report, tally)
  }

  private static let messageBytes = 64
}
