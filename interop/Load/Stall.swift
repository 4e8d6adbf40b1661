/// What readers that stop do to their neighbours: rates of active downloads without and beside them.
struct Stall {
  let client: Client
  let active: Int
  let seconds: Double
  let pauseFile: PauseFile?

  /// Measures without, beside and again without the flows that stop; these read on in between.
  ///
  /// The second look at the rate without them keeps a machine that warms up or slows down from
  /// hiding or feigning a loss.
  func run() throws(LoadError) -> Report {
    raiseDescriptorLimit()
    var report = Report(mode: "stall")
    report.add("active", active)
    let (alone, beside) = try measureStopped(&report)
    let crowd = try Crowd(client: client, count: active)
    defer { crowd.stop() }
    let after = try crowd.measure(seconds: seconds)
    after.add(to: &report, suffix: "after")
    report.add(
      "ratio", 2 * beside.gbitPerSecond / (alone.gbitPerSecond + after.gbitPerSecond))
    return report
  }

  /// The rates before and beside the stopped flows, which at last must read on to their end.
  private func measureStopped(
    _ report: inout Report
  ) throws(LoadError) -> (alone: Crowd.Rates, beside: Crowd.Rates) {
    let crowd = try Crowd(client: client, count: active)
    defer { crowd.stop() }
    let alone = try crowd.measure(seconds: seconds)
    alone.add(to: &report, suffix: "alone")
    try pauseFile?.wait(contents: report)

    var stopped: [Download] = []
    for (index, position) in Self.stopPositions.enumerated() {
      let download = try client.download(bytes: Self.stoppedBytes, number: active + index)
      try download.read(until: position)
      stopped.append(download)
    }
    let beside = try crowd.measure(seconds: seconds)
    beside.add(to: &report, suffix: "beside")
    var observations: [Report] = []
    for (index, download) in stopped.enumerated() {
      observations.append(try observe(download, number: active + index))
    }
    report.add("stopped", observations)
    try pauseFile?.wait(contents: report)

    crowd.stop()
    for download in stopped { try download.readToEnd() }
    report.add("resumed", true)
    return (alone, beside)
  }

  /// What the driver needs to find the flow's four sockets in the kernel's tables, and both counts.
  private func observe(_ download: Download, number: Int) throws(LoadError) -> Report {
    let question = try client.connect()
    try question.send(line: Request.progress(key: client.key(number)).line)
    guard let words = try question.receiveLine()?.split(separator: " "), words.count == 2,
      let accepted = Int(words[0]), let port = Int(words[1])
    else { throw .protocolViolation("no answer about the stopped flow") }
    var report = Report(mode: "stopped flow")
    report.add("accepted_bytes", accepted)
    report.add("read_bytes", download.position)
    report.add("client_port", Int(download.socket.localAddress.port))
    report.add("server_peer_port", port)
    return report
  }

  /// One reader that never reads, one that stops after 1 MiB.
  private static let stopPositions = [0, 1 << 20]
  /// Far more than the sockets and a bounded tunnel may hold, so that only reading ends it.
  private static let stoppedBytes = 64 << 20
}
