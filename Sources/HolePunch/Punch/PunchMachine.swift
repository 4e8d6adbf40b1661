public import QuicTransport

/// Makes a direct path to one peer, or says why there is none: one side of the pair, sans I/O.
///
///         begin            a path is chosen
///     idle ----> punching -----------------> direct
///                 |    ^                       | networkChanged
///        deadline v    | begin                 v
///                waiting <---------------------+      wants a round after 5, 10, 20, 40, 60 ... s
///
/// Success needs both directions: each side's probe must have been answered from the address that
/// it went to. The first side then chooses a path and says so on it, until that is answered.
///
/// Mutate, then drain `nextEffect`, then arm a timer for `timeout`. All datagrams that begin like
/// probes go to `receive`, from whichever socket.
public struct PunchMachine {
  /// What it is about.
  public internal(set) var state = State.idle
  /// The path that both sides use; kept while another is looked for.
  public internal(set) var path: PunchedPath?
  /// The plan's, or a higher one that the peer has begun.
  public internal(set) var round: UInt32 = 0
  /// What may be probed. Changes count from the next plan on.
  public var filter: CandidateFilter

  let keys: PunchKeys
  let settings: PunchSettings
  let middleware: [any PunchMiddleware]
  var random: any RandomNumberGenerator
  var effects = EffectQueue()
  var plan: PunchPlan?
  /// The socket that the plan is about.
  var socket = 0
  var targets: [PunchTarget] = []
  var search: Search?
  /// Sockets that were opened for this round.
  var opened: [Int] = []
  /// Questions that may be answered.
  var pending: [TransactionID: Pending] = [:]
  var deadlines = Deadlines()
  var nextSlot = Instant(nanoseconds: 0)
  /// Of our last message.
  var number: UInt32 = 0
  /// Probes of this round.
  var probeCount = 0
  var seen = ReplayWindow()
  var answers: TokenBucket
  var retry = RetrySchedule()
  var freshPortsLeft = PunchMachine.freshPortsMax
  /// The last birthday search.
  var searched: (round: UInt32, at: Instant)?

  /// - Parameters:
  ///   - keys: of this pair.
  ///   - filter: with our own addresses.
  ///   - random: fit for keys.
  ///   - middleware: the first one is the closest to the machine.
  public init(
    keys: PunchKeys, filter: CandidateFilter, settings: PunchSettings,
    random: any RandomNumberGenerator, middleware: [any PunchMiddleware], now: Instant
  ) {
    self.keys = keys
    self.filter = filter
    self.settings = settings
    self.random = random
    self.middleware = middleware
    answers = TokenBucket(
      rate: Self.answersPerSecond, burst: Self.answersPerSecond, now: now)
  }

  /// What a machine is about.
  public enum State: Equatable, Sendable {
    /// No plan yet; probes are answered.
    case idle
    /// A round is going on.
    case punching
    /// `path` stands.
    case direct
    /// The round failed; another one is wanted in time.
    case waiting
  }

  /// What is due, and when.
  struct Deadlines {
    var round: Instant?
    var freshPort: Instant?
    var settle: Instant?
    var retry: Instant?

    var earliest: Instant? {
      [round, freshPort, settle, retry].compactMap(\.self).min()
    }
  }

  /// A birthday search from the easy side.
  struct Search {
    var ports: PortSearch
    var left: Int
    var due: Instant
  }

  /// A question that may be answered.
  struct Pending {
    var address: SocketAddress
    var socket: Int
    var sent: Instant
    var isChosen: Bool
  }

  /// How long a round tries.
  static let roundTime = Duration.seconds(10)
  /// A path that would come about by plain probing has by then, at 500 ms of round trip.
  static let freshPortDelay = Duration.milliseconds(1_500)
  static let freshPortsMax = 2
  /// Sockets of the search stay that long, for packets on their way.
  static let settleTime = Duration.seconds(1)
  /// The hard side needs that long to open its ports.
  static let searchLead = Duration.milliseconds(150)
  /// An honest peer needs a dozen.
  static let answersPerSecond = 50.0
  /// Addresses that only the peer's probes told of.
  static let peerReflexiveMax = 16
  /// Sockets that a search or a prediction may have; what more the caller opens is closed.
  static let openedMax = 512
  static let predictionSockets = 8
  /// Probes of a round, whatever its mode: 270 kB.
  static let probesMax = 4_096
}

// MARK: - Inputs

extension PunchMachine {
  /// Follows a plan, unless it is older than the one being followed, or than our socket.
  ///
  /// - Parameters:
  ///   - socket: the number of the socket that we want to be reached at.
  ///   - offer: the number under which it was registered last.
  public mutating func begin(_ plan: PunchPlan, socket: Int, offer: UInt32, now: Instant) {
    guard plan.offer == offer else { return }
    if let current = self.plan {
      guard plan.round > current.round else { return }
      if state == .punching, self.socket == socket, plan.asksForTheSame(as: current) {
        // Only the reports became better: a search that is under way goes on.
        self.plan = plan
        round = max(round, plan.round)
        return
      }
    }
    let heard = targets.filter { state == .idle && $0.isHeard }
    closeOpened(except: path?.socket)
    self.plan = plan
    self.socket = socket
    round = max(round, plan.round)
    targets = heard
    pending = pending.filter { entry in heard.contains { $0.address == entry.value.address } }
    search = nil
    probeCount = 0
    deadlines = Deadlines()
    deadlines.round = now + Self.roundTime
    state = .punching
    aim(at: filter.admitted(plan.candidates), now: now)
    note(.began(round: plan.round, mode: plan.mode, targets: targets.count))
    handleTimeout(now: now)
  }

  /// More of the peer's candidates for the round that is going on.
  public mutating func add(_ candidates: [Candidate], now: Instant) {
    guard state == .punching, let plan else { return }
    let known = Set(targets.map(\.address))
    let admitted = filter.admitted(plan.candidates + candidates)
    for candidate in admitted where !known.contains(candidate.address) {
      aim(at: candidate, plan: plan, now: now)
    }
    handleTimeout(now: now)
  }

  /// The sockets that `openSockets` asked for; fewer are good too.
  public mutating func socketsOpened(_ numbers: [Int], now: Instant) {
    let kept = numbers.prefix(wantsSockets ? Self.openedMax - opened.count : 0)
    let superfluous = numbers.dropFirst(kept.count)
    if !superfluous.isEmpty { effects.append(.closeSockets(Array(superfluous))) }
    opened += kept
    guard let plan else { return }
    for socket in kept { aimFromOpened(socket, plan: plan, now: now) }
    handleTimeout(now: now)
  }

  private var wantsSockets: Bool { state == .punching && plan?.role == .hard }

  /// Addresses, links or the NAT changed: whatever was known is doubtful.
  public mutating func networkChanged(now: Instant) {
    guard state != .idle else { return }
    retry.reset()
    searched = nil
    freshPortsLeft = Self.freshPortsMax
    wait(now: now)
    effects.append(.roundWanted)
  }

  /// Does what is due. Call it at `timeout`; earlier does no harm.
  public mutating func handleTimeout(now: Instant) {
    handleDeadlines(now: now)
    sendDue(now: now)
  }

  /// The next thing to do, or nil.
  public mutating func nextEffect() -> PunchEffect? { effects.removeFirst() }

  /// When to call `handleTimeout`; nil for never.
  public var timeout: Instant? {
    let work = [targets.lazy.compactMap(\.due).min(), search?.due].compactMap(\.self).min()
    let slot = work.map { max($0, nextSlot) }
    return [slot, deadlines.earliest].compactMap(\.self).min()
  }
}

// MARK: - Deadlines

extension PunchMachine {
  private mutating func handleDeadlines(now: Instant) {
    if let due = deadlines.freshPort, due <= now {
      deadlines.freshPort = nil
      freshPortsLeft -= 1
      effects.append(.freshPortWanted)
    }
    if let due = deadlines.settle, due <= now {
      deadlines.settle = nil
      closeOpened(except: path?.socket)
    }
    if let due = deadlines.round, due <= now {
      if let plan {
        let failure = failsAtOnce(plan, now: now)
        if failure == nil || plan.hopesForMapped {
          effects.append(
            .notDirect(failure ?? .noAnswer(mode: plan.mode, probes: probeCount)))
        }
      }
      wait(now: now)
    }
    if let due = deadlines.retry, due <= now {
      deadlines.retry = now + retry.next()
      freshPortsLeft = max(freshPortsLeft, 1)
      effects.append(.roundWanted)
    }
  }

  /// Stops this round and waits for the next.
  mutating func wait(now: Instant) {
    state = .waiting
    targets = []
    search = nil
    pending = [:]
    closeOpened(except: path?.socket)
    deadlines = Deadlines()
    deadlines.retry = now + retry.next()
  }

  mutating func closeOpened(except kept: Int?) {
    let closing = opened.filter { $0 != kept }
    opened = opened.filter { $0 == kept }
    if !closing.isEmpty { effects.append(.closeSockets(closing)) }
  }

  func note(_ event: PunchEvent) {
    for part in middleware { part.note(event) }
  }
}

/// Effects in order. They are drained after every call, so it stays as short as one call's news.
struct EffectQueue {
  private var effects: [PunchEffect] = []
  private var head = 0

  mutating func append(_ effect: PunchEffect) { effects.append(effect) }

  mutating func removeFirst() -> PunchEffect? {
    guard head < effects.count else {
      effects.removeAll(keepingCapacity: true)
      head = 0
      return nil
    }
    defer { head += 1 }
    return effects[head]
  }
}
