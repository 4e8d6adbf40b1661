internal import QuicTransport

/// How the connecting side uses its rendezvous: beside the ticket's addresses while there is no
/// session, and for a direct path while the session goes another way.
final class LinkMeeting {
  /// Called on the loop with each road to the peer, direct or through a relay.
  var onRoad: ((NetworkPath) -> Void)? {
    didSet { meeting.onPath = { [weak self] road, _ in self?.onRoad?(road) } }
  }
  /// Called when it has taken too long; a road may still come.
  var onHopeless: (() -> Void)?
  /// Whether it is too early to give up.
  private(set) var isHopeful = false

  private let meeting: MeetingCore
  private let clients: [RendezvousClient]
  private let peer: PublicKey
  private let loop: any EventLoop
  private var isStarted = false
  private var timer: LoopTimer?

  init(meeting: MeetingCore, clients: [RendezvousClient], peer: PublicKey, loop: any EventLoop) {
    self.meeting = meeting
    self.clients = clients
    self.peer = peer
    self.loop = loop
  }

  /// Looks for the peer, or looks again.
  func begin() {
    isHopeful = true
    let timer = LoopTimer { [weak self] _ in
      self?.isHopeful = false
      self?.onHopeless?()
    }
    if let old = self.timer { loop.cancel(old) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.patience)
    if isStarted {
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

  func close() {
    if let timer { loop.cancel(timer) }
    meeting.close()
  }

  /// The slowest way to a path, a birthday search, takes 10 s; the peer may be a moment late.
  private static let patience = Duration.seconds(20)
}
