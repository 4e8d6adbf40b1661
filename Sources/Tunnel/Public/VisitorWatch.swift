internal import QuicTransport

/// Looks after visitors of public places who wait for a node, while there are any.
///
/// What a node has to acknowledge it may have acknowledged before it died, and an answer may take
/// minutes; so a node that somebody waits for is asked each second whether it is there, and no other.
final class VisitorWatch {
  weak var listeners: PublicListeners?
  private let loop: any EventLoop
  private var timer: LoopTimer?
  /// The nodes that are waited for, by the age of their connections.
  private var awaited: [UInt64: RelayPeer] = [:]

  init(loop: any EventLoop) {
    self.loop = loop
  }

  /// A visitor came.
  func begin() {
    guard timer?.isArmed != true else { return }
    let timer = self.timer ?? LoopTimer { [weak self] _ in self?.look() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.interval)
  }

  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    settle([:])
  }

  private func look() {
    var waiting: [PublicFlow] = []
    var peers: [UInt64: RelayPeer] = [:]
    guard let listeners else { return }
    for stay in listeners.flows.values where stay.flow.isWaiting {
      guard let peer = stay.member?.peer else { continue }
      peers[peer.serial] = peer
      if peer.silence != nil { waiting.append(stay.flow) }
    }
    settle(peers)
    // By age: the order of a dictionary differs from run to run.
    for flow in waiting.sorted(by: { $0.serial < $1.serial }) {
      guard let silence = listeners.flows[ObjectIdentifier(flow)]?.member?.peer.silence else {
        continue
      }
      flow.nodeIsSilent(for: silence)
    }
    if !listeners.flows.isEmpty { begin() }
  }

  private func settle(_ peers: [UInt64: RelayPeer]) {
    for (serial, peer) in awaited.sorted(by: { $0.key < $1.key }) where peers[serial] == nil {
      peer.isAwaited = false
    }
    for (_, peer) in peers.sorted(by: { $0.key < $1.key }) { peer.isAwaited = true }
    awaited = peers
  }

  /// Short beside the second that a silence takes to show.
  private static let interval = Duration.milliseconds(250)
}
