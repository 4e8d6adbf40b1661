internal import QuicTransport
internal import Tunnel

/// What became of the HTTP requests of a run, in bounded memory.
struct RequestTally: Equatable, Sendable {
  /// All of them.
  private(set) var count: UInt64 = 0
  /// By the first digit of their status, from 1xx (a switch to another protocol) to 5xx.
  private(set) var classes = [UInt64](repeating: 0, count: 5)
  /// Those whose connection ended first.
  private(set) var broken: UInt64 = 0
  /// Bytes of the answers' bodies.
  private(set) var answerBytes: UInt64 = 0

  /// How often each time was seen, of the whole ones.
  private var buckets: [UInt64] = []
  private var least = Duration.zero
  private var most = Duration.zero
  private var sum = Duration.zero
  private var timed: UInt64 = 0

  /// Notes what became of one.
  mutating func note(_ request: RequestReport) {
    count += 1
    answerBytes &+= request.answerBytes
    if let status = request.status, (100...599).contains(status) { classes[status / 100 - 1] += 1 }
    guard request.isWhole else {
      broken += 1
      return
    }
    least = timed == 0 ? request.duration : min(least, request.duration)
    most = max(most, request.duration)
    sum += request.duration
    timed += 1
    if buckets.isEmpty { buckets = [UInt64](repeating: 0, count: Self.bucketCount) }
    buckets[Self.bucket(of: request.duration)] += 1
  }

  /// The time that so many percent of the requests did not exceed, at most 3 % too long; nil where none
  /// was answered.
  func percentile(_ percent: UInt64) -> Duration? {
    guard timed > 0 else { return nil }
    // The rank, rounded up, so that p99 of a few requests is the slowest one.
    var left = max(1, (timed * percent + 99) / 100)
    for (index, count) in buckets.enumerated() {
      if count >= left {
        return index == Self.bucketCount - 1 ? most : min(most, Self.end(of: index))
      }
      left -= count
    }
    return most
  }

  /// The line for people.
  var text: String {
    var line = "requests: \(count)"
    for (index, count) in classes.enumerated() where count > 0 {
      line += ", \(count) \(index + 1)xx"
    }
    if broken > 0 { line += ", \(broken) broken off" }
    guard timed > 0 else { return line }
    let times = [50, 90, 99].compactMap { percent in
      percentile(percent).map { "p\(percent) \(Format.roundTripTime($0))" }
    }
    return line + "; time least \(Format.roundTripTime(least)), "
      + "average \(Format.roundTripTime(average)), "
      + "\(times.joined(separator: ", ")), most \(Format.roundTripTime(most))"
  }

  /// The same as members of an object.
  func write(to json: inout JSONWriter) {
    json.object("requests") { object in
      object.member("count", count)
      for (index, count) in classes.enumerated() { object.member("\(index + 1)xx", count) }
      object.member("broken", broken)
      object.member("answer_bytes", answerBytes)
      object.member("time_min_us", timed > 0 ? Self.microseconds(least) : nil)
      object.member("time_average_us", timed > 0 ? Self.microseconds(average) : nil)
      for percent: UInt64 in [50, 90, 99] {
        object.member("time_p\(percent)_us", percentile(percent).map(Self.microseconds))
      }
      object.member("time_max_us", timed > 0 ? Self.microseconds(most) : nil)
    }
  }

  private var average: Duration { timed > 0 ? sum / Int(clamping: timed) : .zero }

  // MARK: Buckets

  /// Times in microseconds: each power of two is cut into 32 parts, so that a bucket is 3 % wide at most.
  private static func bucket(of time: Duration) -> Int {
    let value = UInt64(clamping: microseconds(time))
    guard value >= parts else { return Int(value) }
    let shift = 63 - value.leadingZeroBitCount - partBits
    return min(bucketCount - 1, Int(parts) * shift + Int(value >> UInt64(shift)))
  }

  /// The longest time of a bucket.
  private static func end(of bucket: Int) -> Duration {
    guard bucket >= Int(parts) * 2 else { return .microseconds(Int64(bucket)) }
    let shift = UInt64(bucket) / parts - 1
    let value = (UInt64(bucket) % parts + parts + 1) << shift - 1
    return .microseconds(Int64(clamping: value))
  }

  private static func microseconds(_ time: Duration) -> Int64 {
    Int64(clamping: time.wholeNanoseconds / 1_000)
  }

  private static let partBits = 5
  private static let parts: UInt64 = 1 << partBits
  /// Up to 2^36 us, which is most of a day.
  private static let bucketCount = Int(parts) * 32
}
