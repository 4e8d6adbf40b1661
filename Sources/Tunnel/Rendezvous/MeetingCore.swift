internal import HolePunch
internal import QuicTransport

/// A node's side of the rendezvous, sans-I/O: keeps a connection to each one, measures the network,
/// says how the node can be reached, and punches with everyone whom it is introduced to.
///
///     RendezvousClient --WELCOME--> NetworkSurvey --report--> OFFER
///     sharing:  KNOCK --token holds--> ADMIT          dialling:  FIND, renewed
///     both:     PLAN --> PunchDriver --> a path, which QUIC is given
final class MeetingCore {
  /// Where legs through a relay end; nil where nothing may be relayed. Set before `start`.
  var legs: RelayedSockets?
  /// Called once for every path that stands, direct or (dialling side) through a relay.
  var onPath: ((_ road: NetworkPath, _ peer: PublicKey) -> Void)?
  var onEvent: (MeetingEvent) -> Void
  /// Whether sessions may go directly, through a relay, or either way. Set before `start`.
  var path = PathPolicy.automatic
  /// A port of the gateway that leads to us; nil where none is to be asked for. Set before `start`.
  var mapping: MappedPort?

  private let identity: PublicKey
  let role: MeetingRole
  let loop: any EventLoop
  private let sockets: PunchSockets
  private let environment: Environment
  private(set) var clients: [RendezvousClient] = []
  /// Where the peer is looked for, best first (dialling side).
  var warm: [RendezvousClient] = []
  /// Those of them that do not know the peer, or do not answer.
  var useless: Set<ObjectIdentifier> = []
  /// Those that are about to stop.
  var restarting: Set<ObjectIdentifier> = []
  /// Chooses among more relays than are kept warm (dialling side).
  var ranking = RelayRanking<ObjectIdentifier>()
  var reviewTimer: LoopTimer?
  /// The relays that were told of last.
  var toldRelays: [PublicKey] = []
  /// What uses the roads through relays (dialling side).
  weak var session: (any RelayedSession)?
  /// The one that makes plans from our offer (dialling side).
  var planner: RendezvousClient?
  private var stunServers: [SocketAddress]
  private var survey: NetworkSurvey?
  private var surveyBegan: Instant?
  /// What the last measurement that was finished found, and where it saw us.
  var measured: (report: NATReport, address: SocketAddress)?
  /// The socket that is offered, and the number of the offer.
  private var socket = 0
  private(set) var offer = NodeOffer(number: 1, report: NATReport(), candidates: [])
  private(set) var offerIsReady = false
  private var observed: SocketAddress?
  var meetings: [MeetingID: Meeting] = [:]
  private var offerTimer: LoopTimer?
  private var findTimer: LoopTimer?
  private var surveyTimer: LoopTimer?
  private(set) var isClosed = false

  /// An introduction, as this node knows it.
  struct MeetingID: Hashable {
    let client: ObjectIdentifier
    /// Of its dials: a relay that restarts begins to count anew.
    let round: Int
    let introduction: UInt64

    init(_ client: RendezvousClient, _ introduction: UInt64) {
      self.client = ObjectIdentifier(client)
      round = client.round
      self.introduction = introduction
    }
  }

  struct Meeting {
    let peer: PublicKey
    let capability: SecretBytes
    let began: Instant
    var driver: PunchDriver?
    var salt: [UInt8] = []
    var wantsRound = false
    /// Our leg at the relay.
    var leg: RelayedSocket?
    /// What was told last.
    var failure: PunchFailure?
  }

  /// What the machine and the process offer.
  struct Environment {
    /// Addresses of the interfaces, port 0.
    var interfaces: () -> [InterfaceAddress]
    /// What the UDP socket is bound to; others are bound to the same host.
    var bound: SocketAddress
    var punch: PunchSettings
    /// For tests and for peers on one machine.
    var probesLoopback: Bool
    /// Fit for keys.
    var random: () -> any RandomNumberGenerator
  }

  /// - Parameters:
  ///   - stunServers: further vantage points; those of the rendezvous come by themselves.
  init(
    identity: PublicKey, role: MeetingRole, sockets: PunchSockets, stunServers: [SocketAddress],
    environment: Environment, loop: any EventLoop, onEvent: @escaping (MeetingEvent) -> Void
  ) {
    self.identity = identity
    self.role = role
    self.sockets = sockets
    self.stunServers = stunServers
    self.environment = environment
    self.loop = loop
    self.onEvent = onEvent
    sockets.onDatagram = { [weak self] in self?.receive($0, now: $1) }
  }

  /// Goes to the rendezvous; measures meanwhile.
  func start(_ clients: [RendezvousClient]) {
    self.clients = clients
    if !path.takesRelay { legs = nil }
    for client in clients {
      client.owner = self
      if legs != nil { client.capabilities = RelayMessage.forwards }
      client.start()
      for address in client.rendezvous.addresses where !stunServers.contains(address) {
        stunServers.append(address)
      }
    }
    // Peers that are not to come directly are told nothing, so there is no plan, and no probe.
    guard path.looksForDirect else { return }
    mapping?.start { [weak self] in self?.mappingChanged() }
    beginSurvey()
  }

  /// Leaves every rendezvous; paths that stand stay.
  ///
  /// - Parameter completion: called when the gateway has its port back, at once where it gave none.
  func close(completion: @escaping () -> Void = {}) {
    isClosed = true
    if let mapping { mapping.stop(completion: completion) } else { completion() }
    survey?.stop()
    for timer in [offerTimer, findTimer, surveyTimer, reviewTimer] {
      if let timer { loop.cancel(timer) }
    }
    for meeting in meetings.values { meeting.driver?.stop() }
    meetings.removeAll()
    legs?.close()
    for client in clients { client.close() }
    sockets.closeAll()
  }

  /// A session with the peer stands on a direct path: nothing more is looked for. What has a leg is
  /// kept, so that the session has somewhere to go.
  func satisfied(by peer: PublicKey) {
    for (id, meeting) in meetings where meeting.peer == peer && meeting.leg == nil {
      client(id)?.send(.done(introduction: id.introduction))
      forget(id)
    }
    if case .dialling = role, let findTimer { loop.cancel(findTimer) }
  }

  /// Looks for the peer again (dialling side).
  func seek() {
    for client in warm where !isExpendable(client) { find(client) }
  }

  /// Takes what came to one of the sockets and is neither QUIC nor a path message.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let first = datagram.bytes.first, datagram.bytes.count <= Self.datagramMax,
      let number = sockets.number(of: datagram.path)
    else { return }
    let source = datagram.path.remote
    if STUNMessage.mayBegin(with: first) {
      guard let survey else { return }
      _ = survey.receive(Array(datagram.bytes), from: source, at: number, now: now)
    } else if datagram.bytes.count == ProbeMessage.byteCount {
      let bytes = Array(datagram.bytes)
      for meeting in meetings.values {
        if meeting.driver?.receive(bytes, from: source, at: number, now: now) == true { return }
      }
    }
  }

  /// Whether we are the side that looked for the other.
  private var isDialling: Bool {
    if case .dialling = role { true } else { false }
  }

  /// The connection that the introduction came by; nil once it is gone.
  func client(_ id: MeetingID) -> RendezvousClient? {
    clients.first { ObjectIdentifier($0) == id.client && $0.round == id.round }
  }

  func forget(_ id: MeetingID) {
    let meeting = meetings.removeValue(forKey: id)
    meeting?.driver?.stop()
    if let leg = meeting?.leg { legs?.remove(leg) }
  }

  /// The longest STUN message that we take.
  private static let datagramMax = 1_500
  /// Introductions at once: a share with more newcomers at a time lets them wait.
  private static let meetingsMax = 256
}

// MARK: - The offer

extension MeetingCore {
  /// Measures the network, and tells what has changed.
  func beginSurvey() {
    survey?.stop()
    surveyBegan = loop.now
    offerIsReady = false
    let survey = NetworkSurvey(
      servers: stunServers, interfaces: environment.interfaces().map(\.address), socket: socket,
      sockets: sockets, random: environment.random(), loop: loop)
    self.survey = survey
    survey.onNews = { [weak self] in self?.updateOffer() }
    let timer = LoopTimer { [weak self] _ in
      self?.offerIsReady = true
      self?.updateOffer()
    }
    if let offerTimer { loop.cancel(offerTimer) }
    offerTimer = timer
    loop.schedule(timer, at: loop.now + Self.surveyPatience)
    updateOffer()
  }

  /// Measures again, but for what was measured a moment ago later.
  func surveySoon() {
    let due = surveyBegan.map { $0 + Self.surveyRest } ?? loop.now
    guard due > loop.now else { return beginSurvey() }
    guard surveyTimer?.isArmed != true else { return }
    let timer = LoopTimer { [weak self] _ in self?.beginSurvey() }
    surveyTimer = timer
    loop.schedule(timer, at: due)
  }

  /// Says how we can be reached if that is new; whether it was.
  @discardableResult
  func updateOffer() -> Bool {
    guard let survey else { return false }
    // One server's word says nothing about the mapping; the second one's follows at once.
    guard offerIsReady || survey.isComplete || survey.report.mapping != .unknown else {
      return false
    }
    offerIsReady = true
    var next = offer
    next.report = report(of: survey)
    // We are heard over UDP, whatever became of the questions.
    if observed != nil { next.report.isUDPBlocked = false }
    next.report.portMapping = mapping?.current?.by
    next.candidates = candidates(reflexive: survey.reflexive)
    let isNew = next != offer
    offer = next
    if isNew { for client in planners { client.send(.offer(offer)) } }
    askForRounds()
    return isNew
  }

  private func candidates(reflexive: [SocketAddress]) -> [Candidate] {
    var set = CandidateSet()
    let port = sockets.port(of: socket)
    // Interfaces first: their order breaks ties, and reflexive ones rank below them anyway. The few
    // that matter to strangers must not be crowded out by thirty bridges.
    let host = HostCandidates.gather(
      addresses: environment.interfaces().map(\.address),
      socket: environment.bound.with(port: port),
      hasIPv6: !environment.bound.isIPv4, count: CandidateSet.countMax - Self.reflexiveMax)
    for candidate in host where environment.probesLoopback || !candidate.address.isLoopback {
      set.insert(candidate, now: loop.now)
    }
    if let mapped = mapping?.current?.outside {
      set.insert(Candidate(address: mapped, kind: .mapped), now: loop.now)
    }
    var seen = reflexive.prefix(1)
    if seen.isEmpty, socket == 0, let observed { seen.append(observed) }
    for address in seen where !set.all.contains(where: { $0.address == address }) {
      set.insert(Candidate(address: address, kind: .reflexive), now: loop.now)
    }
    return set.all
  }

  /// Rounds that were wanted wait for the measurement that they are made from.
  private func askForRounds() {
    for (id, meeting) in meetings where meeting.wantsRound {
      meetings[id]?.wantsRound = false
      client(id)?.send(.again(introduction: id.introduction))
    }
  }

  private var filter: CandidateFilter {
    var reflexive = survey?.reflexive ?? []
    if let observed { reflexive.append(observed) }
    var filter = CandidateFilter(
      interfaces: environment.interfaces(), reflexive: reflexive)
    filter.probesLoopback = environment.probesLoopback
    return filter
  }

  private static let reflexiveMax = 4
  /// Where STUN is not answered, we go by what the rendezvous sees.
  private static let surveyPatience = Duration.milliseconds(400)
  /// A measurement takes 100 ms mostly; sides that ask for rounds share it.
  private static let surveyRest = Duration.seconds(2)
}

// MARK: - Rendezvous

extension MeetingCore: RendezvousClientOwner {
  func rendezvousGreeted(_ client: RendezvousClient) { lookForPeer() }

  func rendezvousOpened(_ client: RendezvousClient, _ welcome: RelayMessage.Welcome) {
    observed = welcome.observed ?? observed
    restarting.remove(ObjectIdentifier(client))
    review(after: .zero)
    onEvent(.rendezvousReady(client.rendezvous, observed: welcome.observed))
    switch role {
    case .sharing:
      // Said to all who are open, or to this one alone if it is no news to the others.
      if !updateOffer(), offerIsReady { client.send(.offer(offer)) }
      client.send(.register)
    case .dialling:
      updateOffer()
      lookForPeer()
      // The question went ahead of its greeting, dated by our own clock.
      let wasMisdated = client.clockCorrection > FindToken.ageMax / 2
      if wasMisdated, warm.contains(where: { $0 === client }) { find(client) }
    }
  }

  func rendezvous(_ client: RendezvousClient, said message: RelayMessage) {
    guard !isClosed else { return }
    switch message {
    case .knock(let knock): judge(knock, from: client)
    case .plan(let plan): follow(plan, from: client)
    case .gone(let introduction): forget(MeetingID(client, introduction))
    case .absent(let peer):
      onEvent(.peerAbsent(peer))
      useless.insert(ObjectIdentifier(client))
      lookForPeer()
    case .throttled(_, let delay):
      onEvent(.searchThrottled(client.rendezvous, retryIn: delay))
      if isDialling { seek(in: max(delay, .seconds(1))) }
    case .forwarding(let message): take(message, from: client)
    case .access(let message):
      if case .restarting = message { noteRestart(of: client) }
      report(message, from: client)
    case .hello, .welcome, .offer, .register, .find, .admit, .again, .done, .listening, .unknown:
      // None of them gets past the client.
      break
    }
  }

  func rendezvous(_ client: RendezvousClient, isSilent: Bool) {
    let id = ObjectIdentifier(client)
    if isSilent { useless.insert(id) } else { useless.remove(id) }
    lookForPeer()
  }

  func rendezvousLost(
    _ client: RendezvousClient, because reason: QuicError?, retryIn delay: Duration
  ) {
    // Its numbers mean nothing to the next connection; what is being punched may still succeed.
    let id = ObjectIdentifier(client)
    for (meeting, state) in meetings where meeting.client == id {
      dropLeg(of: meeting)
      if state.driver?.state != .punching { forget(meeting) }
    }
    guard !isClosed else { return }
    warm.removeAll { $0 === client }
    useless.remove(id)
    restarting.remove(id)
    lookForPeer()
    if case .application(RelayCode.replaced, true, _)? = reason {
      onEvent(.replaced(client.rendezvous))
    } else if case .application(let code, true, _)? = reason, let denial = RelayDenial(code: code) {
      onEvent(.relayDenies(client.rendezvous, denial, retryIn: delay))
    } else {
      onEvent(.rendezvousLost(client.rendezvous, reason: reason, retryIn: delay))
    }
  }

  func find(_ client: RendezvousClient) {
    guard case .dialling(let peer, let capability, let grant) = role, !isClosed else { return }
    let parties = FindToken.Parties(
      rendezvous: client.rendezvous.key, dialler: identity, sharer: peer)
    let token = FindToken(capability: capability, grant: grant, parties: parties, time: client.time)
    client.send(.find(.init(peer: peer, token: token.encoded)))
    seek(in: Self.findInterval)
  }

  private func seek(in delay: Duration) {
    if let findTimer { loop.cancel(findTimer) }
    let timer = LoopTimer { [weak self] _ in self?.seek() }
    findTimer = timer
    loop.schedule(timer, at: loop.now + delay)
  }

  /// Only holders of our ticket are met; others get no answer, and nothing is kept of them.
  private func judge(_ knock: RelayMessage.Knock, from client: RendezvousClient) {
    guard case .sharing(let capability) = role, let token = FindToken(knock.token),
      let capability = capability(token.grant)
    else { return }
    let parties = FindToken.Parties(
      rendezvous: client.rendezvous.key, dialler: knock.peer, sharer: identity)
    guard token.isValid(capability: capability, parties: parties, now: client.time) else { return }
    let id = MeetingID(client, knock.introduction)
    guard meetings[id] == nil, makeRoom() else { return }
    meetings[id] = Meeting(peer: knock.peer, capability: capability, began: loop.now)
    client.send(.admit(introduction: knock.introduction))
  }

  /// Drops a meeting that leads nowhere, if there are too many.
  func makeRoom() -> Bool {
    guard meetings.count >= Self.meetingsMax else { return true }
    let idle = meetings.filter { $0.value.driver?.state != .punching }
    guard let oldest = idle.min(by: { $0.value.began < $1.value.began }) else { return false }
    client(oldest.key)?.send(.done(introduction: oldest.key.introduction))
    forget(oldest.key)
    return true
  }

  private func follow(_ plan: RelayMessage.Plan, from client: RendezvousClient) {
    let id = MeetingID(client, plan.introduction)
    if case .dialling(let peer, let capability, _) = role, meetings[id] == nil {
      guard plan.peer == peer, makeRoom() else { return }
      meetings[id] = Meeting(peer: peer, capability: capability, began: loop.now)
    }
    guard var meeting = meetings[id], meeting.peer == plan.peer else { return }
    let driver: PunchDriver
    if let known = meeting.driver {
      guard meeting.salt == plan.salt else { return }
      driver = known
    } else {
      let keys = PunchKeys(
        secret: meeting.capability, salt: plan.salt, ours: identity, theirs: plan.peer,
        winsTies: isDialling)
      driver = PunchDriver(
        peer: plan.peer, keys: keys, filter: filter, settings: environment.punch,
        sockets: sockets, random: environment.random(), loop: loop)
      driver.owner = self
      meeting.driver = driver
      meeting.salt = plan.salt
      meetings[id] = meeting
    }
    onEvent(.punching(peer: plan.peer, mode: plan.plan.mode))
    driver.follow(plan.plan, socket: socket, offer: offer.number, filter: filter)
  }

  /// Tokens last three times as long.
  private static let findInterval = Duration.seconds(60)
}

// MARK: - Punching

extension MeetingCore: PunchDriverOwner {
  func punch(_ driver: PunchDriver, succeeded path: PunchedPath, mode: PunchMode) {
    sockets.handOver(path.socket)
    onEvent(.punched(peer: driver.peer, path: path, mode: mode))
    guard let road = sockets.path(from: path.socket, to: path.remote) else { return }
    onPath?(road, driver.peer)
  }

  func punch(_ driver: PunchDriver, opened count: Int, of wanted: Int) {
    onEvent(.fewSockets(peer: driver.peer, opened: count, wanted: wanted))
  }

  func punch(_ driver: PunchDriver, failed failure: PunchFailure) {
    let isNews = meetings.contains { $0.value.driver === driver && $0.value.failure != failure }
    for id in meetings.keys where meetings[id]?.driver === driver {
      meetings[id]?.failure = failure
    }
    if isNews { onEvent(.notDirect(peer: driver.peer, failure)) }
  }

  func punchWantsFreshPort(_ driver: PunchDriver) {
    guard let fresh = sockets.open() else { return }
    // The old one goes on for those who know it already.
    sockets.offered = fresh
    sockets.handOver(fresh)
    socket = fresh
    offer.number += 1
    want(driver)
    beginSurvey()
  }

  func punchWantsRound(_ driver: PunchDriver) {
    want(driver)
    if let surveyBegan, loop.now - surveyBegan < Self.surveyRest {
      askForRounds()
    } else {
      beginSurvey()
    }
  }

  private func want(_ driver: PunchDriver) {
    for id in meetings.keys where meetings[id]?.driver === driver {
      // Nobody is left to ask: the peer's next FIND makes a new introduction.
      if client(id) == nil { forget(id) } else { meetings[id]?.wantsRound = true }
    }
  }
}
