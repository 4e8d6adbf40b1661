/// Many connections open at the same time, each with its own message.
struct Hold {
  let client: Client
  let flows: Int
  let pauseFile: PauseFile?

  /// Opens all, then sends on all before it reads from any, then waits while all stay open.
  func run() throws(LoadError) -> (Report, Tally) {
    raiseDescriptorLimit()
    let tally = Tally()
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.messageBytes, alignment: 64)
    defer { buffer.deallocate() }
    let start = Clock.nanoseconds()
    var open: [EchoFlow] = []
    for first in stride(from: 0, to: flows, by: Self.openingMax) {
      let numbers = first..<min(first + Self.openingMax, flows)
      let opening = tally.keepingSurvivors(of: Array(numbers)) { number throws(LoadError) in
        try client.echo(number: number)
      }
      open += exchange(on: opening, buffer, tally)
    }
    let openSeconds = Clock.seconds(since: start)
    let echoStart = Clock.nanoseconds()
    open = exchange(on: open, buffer, tally)
    let echoSeconds = Clock.seconds(since: echoStart)
    var report = Report(mode: "hold")
    report.add("flows", flows)
    report.add("open_seconds", openSeconds)
    report.add("echo_seconds", echoSeconds)
    report.add("seconds", openSeconds + echoSeconds)
    try pauseFile?.wait(contents: report)
    // The pause may be long: an echo after it shows that all of them are still alive.
    open = exchange(on: open, buffer, tally)
    tally.addLosses(to: &report)
    return (report, tally)
  }

  /// One message on every flow, all sent before the first is read back; returns those that worked.
  private func exchange(
    on flows: [EchoFlow], _ buffer: UnsafeMutableRawPointer, _ tally: Tally
  ) -> [EchoFlow] {
    let sent = tally.keepingSurvivors(of: flows) { flow throws(LoadError) in
      try flow.send(size: Self.messageBytes)
      return flow
    }
    return tally.keepingSurvivors(of: sent) { flow throws(LoadError) in
      try flow.receive(size: Self.messageBytes, buffer: buffer)
      return flow
    }
  }

  private static let messageBytes = 64
  /// Below the shortest usual listen queue (128), so that the queue is not what is measured.
  private static let openingMax = 64
}
