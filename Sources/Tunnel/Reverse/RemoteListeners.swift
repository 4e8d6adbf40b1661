internal import Glibc
internal import QuicTransport

/// The dialling side of reverse listening: what we want the sharing side to listen for.
///
///     wanted --session open, LISTEN--> asked --LISTENING--> listening
///       ^                                '--refused--> told once; asked again if it was open before
///       '------- session gone -----------------'
///
/// The wishes outlive sessions. A session that takes the place of a lost one is asked for the same,
/// and for the port that a free one turned out to be. The lost session may still hold the address for
/// a while, so one that is refused then is asked for again until it is back.
final class RemoteListeners {
  private var listeners: [Listener]
  private weak var session: SessionCore?
  private let loop: any EventLoop
  private var retryTimer: LoopTimer?
  /// Reaches the targets on this side.
  let connect: IncomingFlow.Connect
  private let onEvent: (TunnelEvent) -> Void
  /// Called when each wish has its first answer.
  private var settled: ((TunnelError?) -> Void)?

  private struct Listener {
    let route: ServiceRoute
    /// What to ask for: the wish, with the port that it got.
    var address: SocketAddress
    var state = State.wanted
    var wasListening = false

    enum State {
      case wanted
      case asked
      case listening
      case refused(ListenStatus)
      case removed
    }
  }

  /// - Parameters:
  ///   - wishes: `RemoteListener.countMax` at most.
  ///   - connect: opens a connection to one address of a target.
  init(
    _ wishes: [RemoteListener], loop: any EventLoop, connect: @escaping IncomingFlow.Connect,
    onEvent: @escaping (TunnelEvent) -> Void
  ) {
    precondition(wishes.count <= RemoteListener.countMax)
    listeners = wishes.map { Listener(route: $0.route, address: $0.address) }
    self.loop = loop
    self.connect = connect
    self.onEvent = onEvent
  }

  /// Asks for everything in a session that has just been opened.
  func ask(_ session: SessionCore) {
    self.session = session
    session.reverse = self
    for index in listeners.indices {
      if case .removed = listeners[index].state { continue }
      listeners[index].state = .wanted
    }
    askForWanted()
  }

  /// Calls once each wish has an answer: with nil, or with why one of them or all came to nothing.
  func whenSettled(_ settled: @escaping (TunnelError?) -> Void) {
    self.settled = settled
    settleIfAnswered()
  }

  /// There will be no session any more, for this reason.
  func stop(_ error: TunnelError) {
    if let retryTimer { loop.cancel(retryTimer) }
    retryTimer = nil
    settled?(error)
    settled = nil
  }

  /// The sharing side shall not listen there any more.
  func remove(_ address: SocketAddress) {
    for index in listeners.indices where listeners[index].address == address {
      if case .removed = listeners[index].state { continue }
      listeners[index].state = .removed
      session?.send(.unlisten(UInt64(index)))
    }
  }

  /// Where the sharing side listens, or is asked to.
  var addresses: [SocketAddress] {
    listeners.compactMap { listener in
      if case .removed = listener.state { nil } else { listener.address }
    }
  }

  /// Where a stream of the sharing side goes.
  var router: FlowRouter {
    .listeners { [weak self] number in
      guard let self, number < UInt64(listeners.count) else { return nil }
      let listener = listeners[Int(number)]
      switch listener.state {
      // The stream may overtake the answer.
      case .asked, .listening: return (listener.route, listener.address)
      case .wanted, .refused, .removed: return nil
      }
    }
  }

  private func askForWanted() {
    guard let session, case .open = session.state else { return }
    for index in listeners.indices {
      guard case .wanted = listeners[index].state else { continue }
      guard session.peerCapabilities & ControlMessage.Capability.reverseListening != 0 else {
        // It would not know the message, or not listen with this ticket.
        answered(index, .notAllowed, at: listeners[index].address)
        continue
      }
      listeners[index].state = .asked
      session.send(
        .listen(
          ControlMessage.Listen(
            number: UInt64(index), kind: .tcp, address: listeners[index].address)))
    }
  }

  private func answered(_ index: Int, _ status: ListenStatus, at address: SocketAddress) {
    if status == .listening {
      listeners[index].state = .listening
      listeners[index].address = address
      listeners[index].wasListening = true
      onEvent(.remoteListening(address))
    } else {
      listeners[index].state = .refused(status)
      // The first time, whoever waits hears of it.
      guard listeners[index].wasListening else { return settleIfAnswered() }
      onEvent(.remoteListenRefused(listeners[index].address, status))
      retryLater()
    }
    settleIfAnswered()
  }

  private func settleIfAnswered() {
    guard let settled else { return }
    var error: TunnelError?
    for listener in listeners {
      switch listener.state {
      case .wanted, .asked: return
      case .refused(let status): error = error ?? .remoteListenRefused(listener.address, status)
      case .listening, .removed: break
      }
    }
    self.settled = nil
    settled(error)
  }

  private func retryLater() {
    guard retryTimer?.isArmed != true else { return }
    let timer = LoopTimer { [weak self] _ in self?.retry() }
    retryTimer = timer
    loop.schedule(timer, at: loop.now + Self.retryInterval)
  }

  private func retry() {
    for index in listeners.indices where listeners[index].wasListening {
      if case .refused = listeners[index].state { listeners[index].state = .wanted }
    }
    askForWanted()
  }

  /// Short beside the time that a lost session takes to be noticed, long beside a round trip.
  private static let retryInterval = Duration.seconds(2)
}

extension RemoteListeners {
  /// With sockets of the system.
  convenience init(
    _ wishes: [RemoteListener], loop: EpollLoop, onEvent: @escaping (TunnelEvent) -> Void
  ) {
    self.init(
      wishes, loop: loop,
      connect: { address throws(RuntimeError) in
        switch address {
        case .tcp(let address): return try TCPSocket.connect(loop: loop, to: address)
        case .unix(let path): return try UnixSocket.connect(loop: loop, to: path)
        // `RemoteListener.Target` has none of these.
        case .streams, .folder: throw .system("connect", EOPNOTSUPP)
        }
      }, onEvent: onEvent)
  }
}

extension RemoteListeners: ReverseDelegate {
  func session(_ session: SessionCore, received message: ControlMessage) -> Bool {
    guard case .listening(let answer) = message, answer.number < UInt64(listeners.count) else {
      return false
    }
    switch listeners[Int(answer.number)].state {
    case .asked: answered(Int(answer.number), answer.status, at: answer.address)
    // The answer and the wish to end it crossed.
    case .removed: break
    case .wanted, .listening, .refused: return false
    }
    return true
  }
}
