/// One connection, one direction, as fast as it goes.
struct Bulk {
  let client: Client
  let bytes: Int
  let direction: Pattern.Direction

  /// Moves the bytes; the time runs from the connect to the last checked byte and the end.
  func run() throws(LoadError) -> Report {
    let start = Clock.nanoseconds()
    switch direction {
    case .down: try client.download(bytes: bytes, number: 0).readToEnd()
    case .up: try upload()
    }
    let seconds = Clock.seconds(since: start)
    var report = Report(mode: "bulk")
    report.add("direction", direction == .down ? "down" : "up")
    report.add("bytes", bytes)
    report.add("seconds", seconds)
    report.add("gbit_per_second", Double(bytes) * 8 / seconds / 1e9)
    return report
  }

  private func upload() throws(LoadError) {
    let socket = try client.connect()
    try socket.send(line: Request.sink(bytes: bytes, key: client.key(0)).line)
    var cursor = client.pattern.cursor(key: client.key(0), direction: .up)
    while cursor.position < bytes {
      let count = min(bytes - cursor.position, Pattern.chunkBytesMax)
      try socket.send(cursor.pointer, count: count)
      cursor.advance(by: count)
    }
    guard let verdict = try socket.receiveLine() else { throw .closed("no verdict on the upload") }
    guard verdict == "ok" else { throw .protocolViolation(verdict) }
  }
}
