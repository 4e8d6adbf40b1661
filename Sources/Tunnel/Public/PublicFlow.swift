internal import Glibc
internal import QuicTransport

/// Chooses the nodes that a visitor is offered to, and hears what they did with it. On the loop.
protocol PublicFlowOwner: AnyObject {
  /// The next node, besides those that refused this visitor; nil when there is none left.
  func nextNode(for flow: PublicFlow) -> PublicFlow.Node?
  /// Why none was left before one was asked.
  func whyNobody(takes flow: PublicFlow) -> DoorFailure
  /// The node did not take the visitor, with this code; nil if it did not answer.
  func publicFlow(_ flow: PublicFlow, refusedBy node: PublicFlow.Node, code: UInt64?)
  /// The node reached its target.
  func publicFlowTaken(_ flow: PublicFlow)
  /// The last call.
  func publicFlowEnded(_ flow: PublicFlow, _ report: FlowReport)
}

/// A visitor of a public listener, at the relay, on its way to a node that shares.
///
///     asking --go-ahead--> spliced --> over
///       |  ^
///       |  '-- refused, lost or silent: the next node, with the same bytes
///       '----- no node left, or the visitor leaves --> over
///
/// A node by itself gets the visitor's first bytes with the header. Where another one could be asked
/// instead, they wait for the go-ahead: a node that vanished may have passed on what it got, and
/// nothing may be said to two targets. Who refuses has passed on nothing.
///
/// A node that dies later, before any byte of an answer, is replaced where what it got may be said
/// twice: HTTP requests that only ask for something. That is done once; a request may be what kills.
final class PublicFlow {
  /// A node that shares the place.
  struct Node {
    let connection: ConnectionCore
    /// Of its LISTEN.
    let listener: UInt64
    /// Tells it from the others of its place.
    let serial: UInt64
    /// Whether somebody else could be asked instead.
    let hasOthers: Bool
  }

  /// The nodes that it was offered to, the one that has it now included.
  private(set) var tried: Set<UInt64> = []
  private(set) var visitor: Visitor
  /// Whom it wants; empty at a port of its own.
  let name: String
  private let loop: any EventLoop
  private weak var owner: (any PublicFlowOwner)?
  private var state = State.new
  private var timer: LoopTimer?
  private let openedAt: Instant
  private var lastFailure: DoorFailure?
  /// It was begun anew after its node died.
  private var hasRepeated = false
  /// Its age among the visitors of its relay.
  let serial: UInt64
  /// The node that is asked has got what is in `early`.
  private var earlyIsSent = false

  private enum State {
    case new
    case asking(StreamCore, Node)
    case spliced(Splice)
    case over
  }

  init(
    _ visitor: Visitor, name: String, serial: UInt64, loop: any EventLoop,
    owner: any PublicFlowOwner
  ) {
    self.visitor = visitor
    self.serial = serial
    self.name = name
    self.loop = loop
    self.owner = owner
    openedAt = loop.now
  }

  func start() {
    visitor.socket.handler = self
    askNext()
  }

  /// Breaks it off; its end is reported before this returns.
  func abort() {
    switch state {
    case .new, .asking: giveUp(.sessionLost, failure: .died, code: TunnelCode.sessionEnding)
    case .spliced(let splice): splice.abort(code: TunnelCode.sessionEnding)
    case .over: break
    }
  }

  /// The connection of the node that has it is gone.
  func nodeIsLost() {
    switch state {
    case .asking: refused(code: nil, failure: .died)
    case .spliced(let splice): leave(splice)
    case .new, .over: break
    }
  }

  /// Whether it waits for its node: for the go-ahead, or for an answer of which nothing has come.
  var isWaiting: Bool {
    switch state {
    case .asking: true
    case .spliced: (visitor.socket as? HostSocket)?.awaitsAnswer == true
    case .new, .over: false
    }
  }

  /// The node that it waits for should have been heard of for so long. A connection outlives more, and
  /// so do visitors who have begun to get their answer; but who waits is not to wait for a dead one.
  func nodeIsSilent(for time: Duration) {
    switch state {
    // What it did not get can be given to another at once.
    case .asking where !earlyIsSent: refused(code: nil, failure: .died)
    case .asking where time >= Self.silenceMax: refused(code: nil, failure: .died)
    case .spliced(let splice) where time >= Self.silenceMax && isWaiting: leave(splice)
    case .new, .asking, .spliced, .over: break
    }
  }

  private func leave(_ splice: Splice) {
    if !goesElsewhere(splice) { splice.abort(code: TunnelCode.sessionEnding) }
  }

  /// Goes to another node with what the dead one got; false where it may not.
  private func goesElsewhere(_ splice: Splice) -> Bool {
    guard !hasRepeated, let bytes = (visitor.socket as? HostSocket)?.repeatableBytes else {
      return false
    }
    hasRepeated = true
    splice.release(code: TunnelCode.sessionEnding)
    visitor.early = bytes
    lastFailure = .died
    state = .new
    visitor.socket.handler = self
    askNext()
    return true
  }

  // MARK: Asking

  private func askNext() {
    while let node = owner?.nextNode(for: self) {
      tried.insert(node.serial)
      let header = PublicHeader(
        listener: node.listener, source: visitor.source, destination: visitor.destination)
      do throws(StreamError) {
        let stream = try node.connection.openStream(unidirectional: false)
        earlyIsSent = !node.hasOthers
        try stream.write(header.encoded + (earlyIsSent ? visitor.early : []))
        stream.delegate = self
        state = .asking(stream, node)
        arm(after: node.hasOthers ? Self.patienceWithOthers : Self.patience)
        if earlyIsSent { takeEarly() }
        return
      } catch {
        lastFailure = error == .limitReached ? .tooMany : .died
      }
    }
    let failure = lastFailure ?? owner?.whyNobody(takes: self) ?? .nobody
    giveUp(.targetRefused(nil), failure: failure, code: TunnelCode.targetRefused)
  }

  private func refused(code: UInt64?, failure: DoorFailure) {
    guard case .asking(let stream, let node) = state else { return }
    lastFailure = failure
    release(stream, code: TunnelCode.targetRefused)
    owner?.publicFlow(self, refusedBy: node, code: code)
    // Hearing of it may have ended the flow.
    guard case .asking = state else { return }
    state = .new
    if code == nil, earlyIsSent, !visitor.early.isEmpty, !mayRepeat() {
      giveUp(.sessionLost, failure: failure, code: TunnelCode.sessionEnding)
    } else {
      askNext()
    }
  }

  /// Whether the next node may get what this one got, and perhaps passed on.
  private func mayRepeat() -> Bool {
    guard !hasRepeated, (visitor.socket as? HostSocket)?.repeatableBytes == visitor.early else {
      return false
    }
    hasRepeated = true
    return true
  }

  private func release(_ stream: StreamCore, code: UInt64) {
    disarm()
    stream.delegate = nil
    stream.reset(code: code)
    stream.stopReceiving(code: code)
  }

  /// The visitor's first bytes need not wait for the target.
  private func takeEarly() {
    while case .asking(let stream, _) = state, earlyIsSent, visitor.early.count < Self.earlyMax {
      let known = visitor.early.count
      switch visitor.read(upTo: min(Self.earlyMax - known, 4_096)) {
      case .moved: try? stream.write(Array(visitor.early[known...]))
      // The splice sees the end again.
      case .blocked, .ended: return
      case .failed(let code):
        giveUp(.localFailure(code), failure: nil, code: TunnelCode.localReset)
      }
    }
  }

  private func hearAnswer() {
    guard case .asking(let stream, _) = state else { return }
    switch GoAhead.read(from: stream) {
    case .notYet: break
    case .malformed: refused(code: TunnelCode.malformedHeader, failure: .died)
    case .given: splice(stream)
    }
  }

  private func splice(_ stream: StreamCore) {
    disarm()
    let number = stream.id.number
    let early = UInt64(visitor.early.count)
    if !earlyIsSent, !visitor.early.isEmpty { try? stream.write(visitor.early) }
    visitor.early = []
    let splice = Splice(stream: stream, socket: visitor.socket) { [weak self] splice, ending in
      guard let self else { return }
      state = .over
      owner?.publicFlowEnded(
        self,
        FlowReport(
          number: number, bytesSent: splice.bytesToStream + early,
          bytesReceived: splice.bytesToSocket, ending: FlowReport.Ending(ending)))
    }
    splice.onSessionLost = { [weak self, weak splice] in
      guard let self, let splice else { return false }
      return goesElsewhere(splice)
    }
    state = .spliced(splice)
    owner?.publicFlowTaken(self)
    splice.start()
  }

  /// - Parameter failure: what the visitor is told; nil when it is gone itself.
  private func giveUp(_ ending: FlowReport.Ending, failure: DoorFailure?, code: UInt64) {
    var number: Int64 = -1
    if case .asking(let stream, _) = state {
      number = stream.id.number
      release(stream, code: code)
    }
    state = .over
    if let failure {
      visitor.dismiss(visitor.door?.farewell(failure, name: name) ?? [], loop: loop)
    } else {
      visitor.socket.close(resetting: true)
    }
    owner?.publicFlowEnded(
      self, FlowReport(number: number, bytesSent: 0, bytesReceived: 0, ending: ending))
  }

  private func arm(after delay: Duration) {
    let timer = LoopTimer { [weak self] _ in self?.refused(code: nil, failure: .died) }
    self.timer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  private func disarm() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// What a node may take to connect: its own limit for one address, and some for a second one.
  private static let patience = Duration.seconds(15)
  /// Where another node is there: more than a long way and a lost packet.
  private static let patienceWithOthers = Duration.seconds(3)
  /// A second until the silence is noticed, and another for a road that changes (`PathManager`).
  private static let silenceMax = Duration.seconds(2)
  /// A request with its head, usually; twice what a door reads, which may be here already.
  private static let earlyMax = 32 * 1024
}

extension PublicFlow: StreamDelegate {
  func streamReadable(_ stream: StreamCore) { hearAnswer() }

  func streamWritable(_ stream: StreamCore) {}

  func streamReset(_ stream: StreamCore, code: UInt64) {
    refused(code: code, failure: .refused)
  }

  func streamStopped(_ stream: StreamCore, code: UInt64) {
    refused(code: code, failure: .refused)
  }

  func streamClosed(_ stream: StreamCore, error: QuicError?) {
    refused(code: nil, failure: .died)
  }
}

extension PublicFlow: StreamSocketHandler {
  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) {
    guard case .asking = state else { return }
    giveUp(.localFailure(code), failure: nil, code: TunnelCode.localReset)
  }

  func streamSocketReady(_ readiness: Readiness) {
    guard case .asking = state else { return }
    guard readiness.isDisjoint(with: [.error]) else {
      return giveUp(.localFailure(ECONNRESET), failure: nil, code: TunnelCode.localReset)
    }
    takeEarly()
  }
}
