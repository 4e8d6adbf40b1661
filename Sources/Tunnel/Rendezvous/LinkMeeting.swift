internal import HolePunch
internal import QuicTransport

/// How the connecting side uses its rendezvous: beside the ticket's addresses while there is no
/// session, and for a direct path while the session goes another way.
///
///     hopeful --patience over, or the plan says that there is no way--> hopeless --begin--> hopeful
///         '--session open--> settled
final class LinkMeeting {
  /// Called on the loop with each road to the peer, direct or through a relay.
  var onRoad: ((NetworkPath) -> Void)? {
    didSet { meeting.onPath = { [weak self] road, _ in self?.onRoad?(road) } }
  }
  /// Called when it has taken too long; a road may still come.
  var onHopeless: (() -> Void)?
  /// Whether it is too early to give up.
  private(set) var isHopeful = false
  /// How long a path is waited for, whatever the plan says; nil for as long as there is hope. Set
  /// before `begin`.
  var patience: Duration?

  /// What uses the roads through relays.
  var session: (any RelayedSession)? {
    get { meeting.session }
    set { meeting.session = newValue }
  }
  /// The relays as they are now.
  var relayReports: [RelayReport] { meeting.relayReports }

  private let meeting: MeetingCore
  private let clients: [RendezvousClient]
  private let peer: PublicKey
  private let loop: any EventLoop
  private var isStarted = false
  private var timer: LoopTimer?
  private var news = News()
  private var lastSeek: Instant?

  /// What was heard of the peer and of the way to it.
  private struct News {
    /// A relay knows the peer, and it knows our ticket.
    var isIntroduced = false
    var isAbsent = false
    var failure: PunchFailure?
    var refusal: RelayRefusal?
  }

  init(meeting: MeetingCore, clients: [RendezvousClient], peer: PublicKey, loop: any EventLoop) {
    self.meeting = meeting
    self.clients = clients
    self.peer = peer
    self.loop = loop
    let tell = meeting.onEvent
    meeting.onEvent = { [weak self] event in
      self?.note(event)
      tell(event)
    }
  }

  /// Looks for the peer, or looks again.
  func begin() {
    isHopeful = true
    arm(after: patience ?? Self.patienceMax)
    if isStarted {
      hurryIfFinal()
      meeting.seek()
    } else {
      isStarted = true
      meeting.start(clients)
    }
  }

  /// A session is open; on a direct path, nothing better is to be had.
  func sessionOpened(isDirect: Bool) {
    isHopeful = false
    if let timer { loop.cancel(timer) }
    if isDirect { meeting.satisfied(by: peer) }
  }

  /// The session had to go back to a relay: another direct path is looked for.
  func directPathLost() { meeting.askForRounds(with: peer) }

  /// Nothing is heard on any path of the session. Called every few seconds.
  func pathFails() {
    guard loop.now - (lastSeek ?? Instant(nanoseconds: 0)) >= Self.seekInterval else { return }
    lastSeek = loop.now
    meeting.lookAgain(for: peer)
  }

  /// Addresses or routes changed.
  func networkChanged() {
    if isStarted { meeting.networkChanged() }
  }

  /// Why there is no road, if that is known; for people.
  var problem: TunnelError? {
    guard clients.contains(where: \.isOpen) else {
      return .relaysUnreachable(clients.flatMap(\.rendezvous.addresses))
    }
    if news.isAbsent, !news.isIntroduced { return .peerAbsent }
    if let refusal = news.refusal, !meeting.path.looksForDirect { return .notRelayed(refusal) }
    if let failure = news.failure { return .notDirect(failure) }
    return meeting.path == .direct ? .notDirect(nil) : nil
  }

  /// Calls `completion` when the gateway has its port back.
  func close(completion: @escaping () -> Void) {
    if let timer { loop.cancel(timer) }
    meeting.close(completion: completion)
  }

  private func note(_ event: MeetingEvent) {
    switch event {
    case .peerAbsent: news.isAbsent = true
    case .punching(_, let mode):
      news.isIntroduced = true
      // Another network, another plan.
      if mode != .relay, mode != .blocked { news.failure = nil }
    case .notDirect(_, let failure):
      news.isIntroduced = true
      news.failure = failure
      hurryIfFinal()
    case .notRelayed(_, let refusal):
      news.isIntroduced = true
      news.refusal = refusal
      hurryIfFinal()
    case .rendezvousReady, .rendezvousLost, .relayAdmits, .relayDenies, .relayRestarts,
      .relaysRanked, .searchThrottled, .replaced, .punched, .relayThrottles, .portMapped, .portLost,
      .fewSockets:
      break
    }
  }

  /// Where the plan says that nothing is to be had, only the peer's own addresses are worth a moment.
  private func hurryIfFinal() {
    let isFinal =
      meeting.path.looksForDirect ? news.failure?.isFinal == true : news.refusal != nil
    guard isHopeful, isFinal, patience == nil else { return }
    arm(after: Self.candidatePatience)
  }

  private func arm(after delay: Duration) {
    let due = loop.now + delay
    let timer = LoopTimer { [weak self] _ in
      self?.isHopeful = false
      self?.onHopeless?()
    }
    if let old = self.timer { loop.cancel(old) }
    self.timer = timer
    loop.schedule(timer, at: due)
  }

  /// The slowest way to a path, a birthday search, takes 10 s; the peer may be a moment late.
  private static let patienceMax = Duration.seconds(20)
  /// Seven probes to each of the peer's own addresses (`PunchTarget`).
  private static let candidatePatience = Duration.seconds(2)
  /// A relay takes a handful of questions at once, and then one every few seconds.
  private static let seekInterval = Duration.seconds(5)
}

extension PunchFailure {
  /// Whether another attempt between the same networks is of no use.
  var isFinal: Bool {
    switch self {
    case .bothNATsUnpredictable, .udpBlocked: true
    case .noCandidates, .searchRests, .noAnswer: false
    }
  }
}
