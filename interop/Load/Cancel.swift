/// Downloads that break off in the middle, many of them, and one whole download after them.
struct Cancel {
  let client: Client
  let flows: Int
  let parallel: Int
  let freshBytes: Int

  /// Breaks off all flows, resets and plain closes in turn, then measures the fresh one.
  func run() throws(LoadError) -> (Report, Tally) {
    let tally = Tally()
    let start = Clock.nanoseconds()
    try WorkerThread.inParallel(parallel) { [self] _ in
      while let number = tally.nextNumber(below: flows) {
        do throws(LoadError) {
          let download = try client.download(bytes: Self.flowBytes, number: number)
          let extra = number * Self.readBytesStep % Self.readBytesSpan
          try download.read(until: Self.readBytesMin + extra)
          if number.isMultiple(of: 2) { try download.socket.resetOnClose() }
        } catch {
          tally.recordLoss(error)
        }
      }
    }
    let seconds = Clock.seconds(since: start)
    var report = Report(mode: "cancel")
    report.add("flows", flows)
    report.add("parallel", parallel)
    report.add("seconds", seconds)
    report.add("per_second", Double(flows) / seconds)
    tally.addLosses(to: &report)
    if freshBytes > 0 {
      let freshStart = Clock.nanoseconds()
      try client.download(bytes: freshBytes, number: flows).readToEnd()
      let freshSeconds = Clock.seconds(since: freshStart)
      report.add("fresh_seconds", freshSeconds)
      report.add("fresh_gbit_per_second", Double(freshBytes) * 8 / freshSeconds / 1e9)
    }
    return (report, tally)
  }

  /// More than any buffer on the way holds, so that the break always comes in mid-transfer.
  private static let flowBytes = 64 << 20
  /// Flows break off after 64 to 256 KiB; the odd step visits all remainders in the span.
  private static let readBytesMin = 64 << 10
  private static let readBytesSpan = 192 << 10
  private static let readBytesStep = 40_503
}
