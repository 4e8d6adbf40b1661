internal import Glibc
internal import QuicTransport

/// A share's side of public listeners, for one relay: what it shall listen at, and the visitors that
/// it brings.
///
///     wanted --connected, LISTEN--> asked --LISTENING--> listening --UNLISTEN--> leaving --ENDED--> over
///       ^                             '--refused--> told; asked again where it listened before
///       '------- connection lost ------------------'
///
/// The wishes outlive connections: the next one asks for the same, and for the port that it got.
final class PublicPlaces {
  /// How flows reach what is shared.
  struct Targets {
    let connect: IncomingFlow.Connect
    let connectDatagrams: TargetDatagrams.Connect
    let udpTimeout: Duration
    /// Whether HTTP requests that pass are told of.
    var watchesRequests = false
    /// Those who check targets, for the services that have one.
    var health: [HealthWatch] = []
  }

  private var entries: [Entry]
  private let relay: PublicKey
  private let targets: Targets
  private let loop: any EventLoop
  private let onEvent: (TunnelEvent) -> Void
  private let gather = DatagramGather()
  private var connection: ConnectionCore?
  private var send: (PublicMessage) -> Void = { _ in }
  /// By their order: one may outlive its connection, and streams of the next one have its number again.
  private var flows: [UInt64: IncomingFlow] = [:]
  private var lastFlow: UInt64 = 0
  private var datagrams: DatagramFlows?
  private var retryTimer: LoopTimer?
  private var drained: (() -> Void)?
  private var isDraining = false
  private var totals = TunnelTotals()

  private struct Entry {
    let wish: PublicWish
    let route: ServiceRoute
    let datagramTargets: [SocketAddress]
    /// What to ask for, with the port that it got.
    var request: PublicRequest
    var state = State.wanted
    var wasAnswered = false
    var wasListening = false
    var address: PublicAddress
  }

  private enum State {
    case wanted
    case asked
    case listening
    case refused
    case leaving
    case over
  }

  /// - Parameters:
  ///   - wishes: with the service that each is for, and the label of each.
  ///   - relay: the relay's key.
  init(
    _ wishes: [(wish: PublicWish, service: Service, label: [UInt8])], group: PublicGroup?,
    relay: PublicKey, targets: Targets, loop: any EventLoop,
    onEvent: @escaping (TunnelEvent) -> Void
  ) {
    self.relay = relay
    self.targets = targets
    self.loop = loop
    self.onEvent = onEvent
    entries = wishes.enumerated().map { index, item in
      let wish = item.wish
      var route = item.service.route
      route.sendsGoAhead = true
      let request = PublicRequest(
        number: UInt64(index), kind: wish.kind, port: wish.port, name: wish.name,
        label: item.label, group: group?.proof(for: relay) ?? [],
        balance: group?.balance ?? .roundRobin)
      return Entry(
        wish: wish, route: route, datagramTargets: item.service.datagramTargets,
        request: request,
        address: PublicAddress(
          service: wish.service, kind: wish.kind, host: wish.name, port: wish.port, relay: relay))
    }
    for watch in targets.health {
      watch.listeners.append { [weak self, service = watch.service] isUp in
        self?.tell(isUp: isUp, of: service)
      }
    }
  }

  /// Where the relay listens now.
  var addresses: [PublicAddress] {
    entries.compactMap { if case .listening = $0.state { $0.address } else { nil } }
  }

  /// What visitors moved, those who are here included.
  var statistics: TunnelTotals {
    var totals = totals
    totals.note(datagrams)
    return totals
  }

  /// The relay stops sending visitors; `completion` is called when those that are here have
  /// everything, at the relay's end too.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    for index in entries.indices {
      switch entries[index].state {
      case .listening, .asked:
        entries[index].state = .leaving
        send(.unlisten(number: entries[index].request.number))
      case .wanted, .refused: entries[index].state = .over
      case .leaving, .over: break
      }
    }
    endDrainIfDone()
  }

  /// Ends everything now.
  func close() {
    isDraining = true
    if let retryTimer { loop.cancel(retryTimer) }
    for flow in Array(flows.values) { flow.abort(code: TunnelCode.sessionEnding) }
    datagrams?.close()
  }

  private func endDrainIfDone() {
    guard isDraining, let drained else { return }
    guard flows.isEmpty, entries.allSatisfy({ if case .over = $0.state { true } else { false } })
    else { return }
    self.drained = nil
    drained()
  }
}

// MARK: - The relay

extension PublicPlaces {
  /// The relay greeted us.
  func opened(
    _ connection: ConnectionCore, capabilities: UInt64,
    send: @escaping (PublicMessage) -> Void
  ) {
    self.connection = connection
    self.send = send
    if entries.contains(where: { $0.wish.kind == .udp }) { datagrams = makeDatagrams(connection) }
    for index in entries.indices {
      switch entries[index].state {
      case .wanted, .asked, .listening, .refused:
        if capabilities & RelayMessage.listensPublicly != 0 {
          ask(index)
        } else {
          refused(index, .notOffered)
        }
      case .leaving, .over: entries[index].state = .over
      }
    }
    endDrainIfDone()
  }

  /// The relay does not serve us at all; the connection is about to go.
  func denied() {
    for index in entries.indices {
      switch entries[index].state {
      case .wanted, .asked, .listening: refused(index, .notAllowed)
      case .refused, .leaving, .over: break
      }
    }
  }

  /// The connection is gone, and its flows with it.
  func lost() {
    connection = nil
    send = { _ in }
    if let datagrams {
      datagrams.close()
      totals.note(datagrams)
    }
    datagrams = nil
    for index in entries.indices {
      switch entries[index].state {
      case .asked, .listening, .refused: entries[index].state = .wanted
      case .leaving: entries[index].state = .over
      case .wanted, .over: break
      }
    }
    endDrainIfDone()
  }

  /// - Returns: whether the message may come at this time.
  func take(_ message: PublicMessage) -> Bool {
    switch message {
    case .listening(let answer):
      guard let index = index(answer.number) else { return false }
      switch entries[index].state {
      case .asked: answered(index, answer)
      // The answer and the wish to end it crossed.
      case .leaving: if answer.status != .listening { entries[index].state = .over }
      case .wanted, .listening, .refused, .over: return false
      }
    case .ended(let number, let status):
      guard let index = index(number) else { return false }
      ended(index, status)
    case .listen, .unlisten, .health: return false
    }
    endDrainIfDone()
    return true
  }

  private func index(_ number: UInt64) -> Int? {
    number < UInt64(entries.count) ? Int(number) : nil
  }

  private func ask(_ index: Int) {
    entries[index].state = .asked
    send(.listen(entries[index].request))
    // Whoever listens anew passes, unless it says at once that it does not.
    let service = entries[index].wish.service
    if targets.health.contains(where: { $0.service == service && !$0.isUp }) {
      send(.health(number: entries[index].request.number, isUp: false))
    }
  }

  private func tell(isUp: Bool, of service: String) {
    for entry in entries where entry.wish.service == service {
      switch entry.state {
      case .asked, .listening: send(.health(number: entry.request.number, isUp: isUp))
      case .wanted, .refused, .leaving, .over: break
      }
    }
  }

  private func answered(_ index: Int, _ answer: PublicMessage.Answer) {
    guard answer.status == .listening else { return refused(index, answer.status) }
    entries[index].state = .listening
    entries[index].wasAnswered = true
    entries[index].wasListening = true
    entries[index].address.port = answer.port
    if !entries[index].wish.kind.hasName {
      entries[index].request.port = answer.port
      entries[index].address.host = answer.host
    }
    onEvent(.publicListening(entries[index].address))
  }

  private func refused(_ index: Int, _ status: PublicStatus) {
    let isFirst = !entries[index].wasAnswered
    entries[index].state = .refused
    entries[index].wasAnswered = true
    onEvent(.publicRefused(entries[index].address, status, isFirst: isFirst))
    if entries[index].wasListening, status.mayPass { retryLater() }
  }

  private func ended(_ index: Int, _ status: PublicStatus) {
    switch entries[index].state {
    case .leaving: entries[index].state = .over
    case .listening, .asked:
      // A later process has it now. Asking again would take it from that one, and so on.
      entries[index].state = status == .replaced ? .over : .refused
      onEvent(.publicRefused(entries[index].address, status, isFirst: false))
    case .wanted, .refused, .over: break
    }
  }

  private func retryLater() {
    guard retryTimer?.isArmed != true, !isDraining else { return }
    let timer = LoopTimer { [weak self] _ in self?.retry() }
    retryTimer = timer
    loop.schedule(timer, at: loop.now + Self.retryInterval)
  }

  private func retry() {
    guard connection != nil, !isDraining else { return }
    for index in entries.indices where entries[index].wasListening {
      if case .refused = entries[index].state { ask(index) }
    }
  }

  /// What is in the way, such as a socket that is just being closed, may be gone soon.
  private static let retryInterval = Duration.seconds(5)
}

// MARK: - Visitors

extension PublicPlaces {
  /// Takes a stream that the relay opened; false when there is nothing that it could be of.
  func take(_ stream: StreamCore) -> Bool {
    guard !stream.id.isUnidirectional else { return false }
    guard flows.count < Self.flowsMax else {
      stream.reset(code: TunnelCode.sessionEnding)
      stream.stopReceiving(code: TunnelCode.sessionEnding)
      return true
    }
    lastFlow += 1
    let place = lastFlow
    let flow = IncomingFlow(
      stream: stream, router: router,
      origin: ProxyProtocol.Origin(source: .any, destination: .any, identity: nil), loop: loop,
      connect: targets.connect, finder: nil
    ) { [weak self] report in
      self?.flowEnded(report, at: place)
    }
    if targets.watchesRequests { flow.onRequest = { [onEvent] in onEvent(.request($0)) } }
    flows[place] = flow
    totals.flows += 1
    totals.flowsOpen += 1
    onEvent(.flowOpened(number: flow.number))
    flow.start()
    return true
  }

  /// Visitors at once: what a relay grants (`PublicLimits`), so an honest one never has more.
  private static let flowsMax = 4_096

  private var router: FlowRouter {
    .publicListeners { [weak self] number in
      guard let self, let index = index(number) else { return nil }
      switch entries[index].state {
      // The stream may overtake the answer, or cross the end.
      case .asked, .listening, .leaving: return entries[index].route
      case .wanted, .refused, .over: return nil
      }
    }
  }

  private func flowEnded(_ report: FlowReport, at place: UInt64) {
    flows[place] = nil
    totals.flowsOpen -= 1
    totals.note(report)
    onEvent(.flowEnded(report))
    endDrainIfDone()
  }

  private func makeDatagrams(_ connection: ConnectionCore) -> DatagramFlows {
    let (gather, connect, onEvent) = (gather, targets.connectDatagrams, onEvent)
    return DatagramFlows(
      connection: connection, isSharing: true, timeout: targets.udpTimeout, loop: loop,
      gather: gather,
      open: { [weak self] number in
        guard let self, !isDraining, let index = index(number),
          case .listening = entries[index].state
        else { return nil }
        return TargetDatagrams(
          addresses: entries[index].datagramTargets, gather: gather, connect: connect)
      },
      began: { onEvent(.datagramFlowOpened(number: $0)) },
      ended: { onEvent(.datagramFlowEnded($0)) })
  }

  /// Takes a DATAGRAM frame of the relay.
  func receive(_ datagram: UnsafeRawBufferPointer) { datagrams?.receive(datagram) }

  /// Everything of this tick was received.
  func flush() { datagrams?.flush() }
}
