internal import QuicTransport

/// An address that is probed from one of our sockets, and when.
struct PunchTarget {
  let address: SocketAddress
  let socket: Int
  let kind: Candidate.Kind
  /// The next probe; nil when there is none.
  var due: Instant?
  /// Full probes that have been sent.
  private(set) var sentCount = 0
  /// Hop limits of the primers that are left.
  private var primers: ArraySlice<UInt8>
  /// When the first full probe leaves; nil for a target that is only primed.
  private let start: Instant?
  /// A probe of the peer came from there.
  private(set) var isHeard = false
  /// What our answered probe found out.
  var path: PunchedPath?
  /// The first side wants this path.
  var isChosen = false

  /// A target whose full probes begin at once.
  init(_ address: SocketAddress, socket: Int, kind: Candidate.Kind, now: Instant) {
    self.address = address
    self.socket = socket
    self.kind = kind
    primers = []
    start = now
    due = now
  }

  /// A target that gets primers at once, and full probes after `hold`, or never.
  init(
    _ address: SocketAddress, socket: Int, kind: Candidate.Kind, primers: [UInt8],
    hold: Duration?, now: Instant
  ) {
    self.address = address
    self.socket = socket
    self.kind = kind
    self.primers = primers[...]
    start = hold.map { now + $0 }
    due = primers.isEmpty ? start : now
  }

  /// Takes the next probe: its hop limit if it is a primer.
  mutating func take(now: Instant) -> UInt8? {
    if let hopLimit = primers.popFirst() {
      if primers.isEmpty { due = start }
      return hopLimit
    }
    sentCount += 1
    due = Self.delay(after: sentCount).map { now + $0 }
    return nil
  }

  /// The peer is there: no more waiting. Once, so that its probes do not multiply ours.
  mutating func hear(now: Instant) {
    guard !isHeard else { return }
    isHeard = true
    primers = []
    if path == nil { due = now }
  }

  /// Starts the schedule again, to tell the peer of the choice.
  mutating func choose(now: Instant) {
    isChosen = true
    sentCount = 0
    due = now
  }

  /// Full probes leave at 0, 20, 50, 100, 200, 400, 800 and 1600 ms and then every two seconds up
  /// to ten: dense while both sides start, sparse enough to outlast an outage.
  private static func delay(after count: Int) -> Duration? {
    if count < steps.count { return .milliseconds(steps[count] - steps[count - 1]) }
    return count < steps.count + repeatsMax ? .seconds(2) : nil
  }

  private static let steps = [0, 20, 50, 100, 200, 400, 800, 1_600]
  private static let repeatsMax = 4
}
