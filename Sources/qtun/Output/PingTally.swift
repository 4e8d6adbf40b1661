internal import QuicTransport
internal import Tunnel

/// What `qtun ping` has seen, and how it prints it.
struct PingTally: Sendable {
  /// Pings whose fate is known.
  private(set) var sent: UInt64 = 0
  /// Of the last ones that were answered, `remembered` at most.
  private(set) var roundTrips: [Duration] = []
  /// All that were answered.
  private(set) var answered: UInt64 = 0
  /// Whether an answer came directly over UDP.
  private(set) var isDirect = false

  /// The number of the next ping.
  mutating func begin() -> UInt64 { sent + 1 }

  /// Notes what became of it; nil for lost.
  mutating func end(_ answer: PingAnswer?) {
    sent += 1
    guard let answer else { return }
    answered += 1
    if roundTrips.count >= Self.remembered { roundTrips.removeFirst() }
    roundTrips.append(answer.roundTrip)
    if answer.path.isDirect { isDirect = true }
  }

  /// The line of one ping.
  static func line(_ number: UInt64, _ answer: PingAnswer?, isJSON: Bool) -> String {
    guard isJSON else {
      guard let answer else { return "\(number) lost" }
      let time = Format.roundTripTime(answer.roundTrip)
      return "\(number) \(answer.path.road) \(answer.path.remote) \(time)"
    }
    var writer = JSONWriter()
    writer.object { object in
      object.member("event", answer == nil ? "lost" : "answer")
      object.member("number", number)
      guard let answer else { return }
      object.member("road", answer.path.road)
      object.member("address", answer.path.remote.description)
      object.member("rtt_us", Self.microseconds(answer.roundTrip))
    }
    return writer.text
  }

  /// The summary for people.
  var text: String {
    let lost = sent - answered
    var text = "\(sent) sent, \(answered) answered, "
    text += "\(Format.percentage(lost, of: sent)) lost"
    let sorted = roundTrips.sorted()
    if let least = sorted.first, let most = sorted.last {
      let times = [least, sorted[sorted.count / 2], most].map(Format.roundTripTime)
      text += ", \(times[0]) least, \(times[1]) median, \(times[2]) most"
    }
    return text
  }

  /// The summary for programs.
  var json: String {
    let sorted = roundTrips.sorted()
    var writer = JSONWriter()
    writer.object { object in
      object.member("event", "summary")
      object.member("sent", sent)
      object.member("answered", answered)
      object.member("direct", isDirect)
      object.member("rtt_min_us", sorted.first.map(Self.microseconds))
      object.member(
        "rtt_median_us", sorted.isEmpty ? nil : Self.microseconds(sorted[sorted.count / 2]))
      object.member("rtt_max_us", sorted.last.map(Self.microseconds))
    }
    return writer.text
  }

  private static func microseconds(_ time: Duration) -> Int64 {
    Int64(clamping: time.wholeNanoseconds / 1_000)
  }

  /// A day of one each second would be 86,400; an hour tells as much.
  private static let remembered = 3_600
}

extension SessionPath {
  /// Whether nothing but routers is between the two ends.
  fileprivate var isDirect: Bool { carrier == .udp }

  /// The road in a word: `direct` for UDP straight to the peer, else what carries it.
  fileprivate var road: String { isDirect ? "direct" : "\(carrier)" }
}
