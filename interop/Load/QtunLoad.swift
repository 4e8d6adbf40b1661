import Glibc

/// The instrument that measures a tunnel from outside: a server behind it and clients before it.
///
/// It shares no code with the tunnel, so that no error can hide in both.
@main
enum QtunLoad {
  static func main() {
    let words = CommandLine.arguments.dropFirst()
    let mode = words.first ?? ""
    do throws(LoadError) {
      var arguments = Arguments(words.dropFirst())
      if mode == "serve" { try serve(&arguments) }
      let start = Clock.processorSeconds()
      var (report, loss) = try measure(mode, &arguments)
      report.add("own_cpu_seconds", Clock.processorSeconds() - start)
      report.add("ok", loss == nil)
      print(report.json)
      if let loss { stop(loss) }
    } catch {
      if case .usage = error { stop(error) }
      var report = Report(mode: mode)
      report.add("ok", false)
      report.add("error", "\(error)")
      print(report.json)
      stop(error)
    }
  }

  /// Says why on stderr and ends the process.
  static func stop(_ error: LoadError) -> Never {
    say("qtun-load: \(error)")
    if case .usage = error { say(usage) }
    exit(error.exitCode)
  }

  // MARK: -

  private static func serve(_ arguments: inout Arguments) throws(LoadError) -> Never {
    let address = arguments.address(option: "--listen")
    try arguments.finish()
    guard let address else { throw .usage([]) }
    let server = try Server(address: address)
    say("listening \(server.address)")
    try server.run()
  }

  /// Runs a client mode; a loss that still allows a report comes back beside it.
  private static func measure(
    _ mode: String, _ arguments: inout Arguments
  ) throws(LoadError) -> (Report, LoadError?) {
    let timeoutSeconds = arguments.number("--timeout", default: 30, in: 1...3600)
    let address = arguments.address()
    /// Called once all options of the mode have been read.
    func client() throws(LoadError) -> Client {
      try arguments.finish()
      guard let address else { throw .usage([]) }
      return Client(address: address, timeoutSeconds: timeoutSeconds)
    }
    switch mode {
    case "bulk":
      let bytes = arguments.number("--bytes", default: 1_000_000_000, in: 0...bytesMax)
      let isDown = arguments.choice("--direction", of: ["down", "up"]) == "down"
      return (
        try Bulk(client: client(), bytes: bytes, direction: isDown ? .down : .up).run(), nil
      )
    case "latency":
      let count = arguments.number("--count", default: 5000, in: 1...10_000_000)
      let size = arguments.number("--size", default: 64, in: 1...Pattern.chunkBytesMax)
      return (try Latency(client: client(), count: count, size: size).run(), nil)
    case "churn":
      let count = arguments.number("--count", default: 20_000, in: 1...10_000_000)
      let parallel = arguments.number("--parallel", default: 16, in: 1...1000)
      let (report, tally) = try Churn(client: client(), count: count, parallel: parallel).run()
      return (report, tally.firstLoss)
    case "hold":
      let flows = arguments.number("--flows", default: 10_000, in: 1...60_000)
      let pauseFile = arguments.text("--pause-file").map(PauseFile.init)
      let (report, tally) = try Hold(client: client(), flows: flows, pauseFile: pauseFile).run()
      return (report, tally.firstLoss)
    case "stall":
      let active = arguments.number("--active", default: 100, in: 1...1000)
      let seconds = arguments.number("--seconds", default: 5, in: 1...3600)
      let pauseFile = arguments.text("--pause-file").map(PauseFile.init)
      let stall = Stall(
        client: try client(), active: active, seconds: Double(seconds), pauseFile: pauseFile)
      return (try stall.run(), nil)
    case "cancel":
      let flows = arguments.number("--flows", default: 10_000, in: 1...10_000_000)
      let parallel = arguments.number("--parallel", default: 100, in: 1...1000)
      let freshBytes = arguments.number("--fresh-bytes", default: 200_000_000, in: 0...bytesMax)
      let cancel = Cancel(
        client: try client(), flows: flows, parallel: parallel, freshBytes: freshBytes)
      let (report, tally) = try cancel.run()
      return (report, tally.firstLoss)
    default:
      throw .usage(mode.isEmpty ? ["no mode given"] : ["\(mode): no such mode"])
    }
  }

  private static func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    write(STDERR_FILENO, bytes, bytes.count)
  }

  /// A terabyte: longer runs are typing errors.
  private static let bytesMax = 1_000_000_000_000

  private static let usage = """
    usage: qtun-load serve --listen ADDR:PORT
           qtun-load bulk ADDR:PORT [--bytes N] [--direction down|up]
           qtun-load latency ADDR:PORT [--count N] [--size BYTES]
           qtun-load churn ADDR:PORT [--count N] [--parallel N]
           qtun-load hold ADDR:PORT [--flows N] [--pause-file PATH]
           qtun-load stall ADDR:PORT [--active N] [--seconds N] [--pause-file PATH]
           qtun-load cancel ADDR:PORT [--flows N] [--parallel N] [--fresh-bytes N]
    Clients take --timeout SECONDS, print one JSON object and exit 1 on a wrong byte or a loss.
    """
}
