/// Requests and responses, one after the other on one connection.
struct Latency {
  let client: Client
  let count: Int
  let size: Int

  /// Measures `count` exchanges after some that warm up caches and windows.
  func run() throws(LoadError) -> Report {
    let flow = try client.echo(number: 0)
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    defer { buffer.deallocate() }
    var nanoseconds: [UInt64] = []
    nanoseconds.reserveCapacity(count)
    let warmUpCount = min(count / 10, 200)
    for number in 0..<(count + warmUpCount) {
      let start = Clock.nanoseconds()
      try flow.send(size: size)
      try flow.receive(size: size, buffer: buffer)
      if number >= warmUpCount { nanoseconds.append(Clock.nanoseconds() - start) }
    }
    nanoseconds.sort()
    func microseconds(_ fraction: Double) -> Double {
      Double(nanoseconds[Int(fraction * Double(count - 1))]) / 1e3
    }
    var report = Report(mode: "latency")
    report.add("count", count)
    report.add("size", size)
    report.add("min_us", microseconds(0))
    report.add("p50_us", microseconds(0.5))
    report.add("p90_us", microseconds(0.9))
    report.add("p99_us", microseconds(0.99))
    report.add("max_us", microseconds(1))
    return report
  }
}
