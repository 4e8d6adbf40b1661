internal import Glibc
internal import QuicTransport

/// What a relay listens for on behalf of its nodes, sans-I/O but for the sockets that it is given.
///
///     node: LISTEN --right, lease, socket--> LISTENING; visitors become streams of its connection
///     node: UNLISTEN, or its connection ends --> the port is closed, and the lease kept for a while
final class PublicListeners {
  /// Who may listen for what.
  private(set) var access: PublicAccess
  private(set) var book: LeaseBook
  /// From now on; listeners beyond a lower number stay.
  var limits: PublicLimits
  let loop: any EventLoop
  private let sockets: PublicSockets
  /// What visitors shall call this relay; empty where nobody said so.
  private var host: String
  let onEvent: (RelayEvent) -> Void
  private let gather = DatagramGather()
  /// Called when leases changed in a way that a restart should remember.
  var onLeases: () -> Void = {}
  /// Does something when a restart would remember them.
  var whenLeasesAreKept: (@escaping () -> Void) -> Void = { $0() }
  /// For visitors by TLS whose host is shared as a web site; nil where TLS ends at shares only.
  private var certificate: PublicCertificate?
  /// Where their requests are read.
  private lazy var inside = makeDoor(.http)
  /// Where they may come by HTTP/3; nil where they may not.
  private(set) var http3: HTTP3Door?
  /// The shared ports, by kind.
  private var doors: [PublicKind: (door: PublicDoor, listener: ServedListeners.OpenListener)] = [:]
  private(set) var places: [LeaseBook.Place: PublicPlace] = [:]
  private(set) var nodes: [ObjectIdentifier: [UInt64: Listener]] = [:]
  private(set) var flows: [ObjectIdentifier: Stay] = [:]
  private var visitors = SourceTally()
  private var addresses = SourceTally()
  private var lastSerial: UInt64 = 0
  private var lastVisitor: UInt64 = 0
  /// Looks after visitors who wait.
  let watch: VisitorWatch
  private var totals = PublicTotals()

  /// What a node listens for, by the number that it gave.
  typealias Listener = (member: PublicMember, place: PublicPlace)

  /// A visitor, as it is counted.
  struct Stay {
    let flow: PublicFlow
    let place: PublicPlace
    let source: SocketAddress
    var member: PublicMember?
  }

  init(
    book: LeaseBook, access: PublicAccess, limits: PublicLimits, sockets: PublicSockets,
    host: String, loop: any EventLoop, onEvent: @escaping (RelayEvent) -> Void
  ) {
    self.book = book
    self.access = access
    self.limits = limits
    self.sockets = sockets
    self.host = host
    self.loop = loop
    self.onEvent = onEvent
    watch = VisitorWatch(loop: loop)
    watch.listeners = self
  }

  /// Opens a port that shares have in common.
  func openDoor(_ kind: DoorKind, at address: SocketAddress) throws(RuntimeError) {
    let door = makeDoor(kind)
    let listener = try sockets.listen(address) { [weak door] socket, source, local in
      guard let door else { return socket.close(resetting: true) }
      door.accept(socket, from: source, at: local)
    }
    doors[kind.kind] = (door, listener)
  }

  /// Serves HTTPS where TLS does not end at shares, and HTTP/3 beside it if UDP has the port.
  ///
  /// - Throws: `.configuration`.
  func openHTTPS(with files: CertificateFiles) throws(QuicError) {
    let certificate = try PublicCertificate(files, loop: loop, onEvent: onEvent)
    self.certificate = certificate
    guard let address = doorAddresses[.tls] else { return }
    let socket: any DatagramSocket
    do throws(RuntimeError) {
      socket = try sockets.bindQuic(address)
    } catch {
      return onEvent(.http3Unavailable(address, error))
    }
    do throws(QuicError) {
      http3 = try HTTP3Door(
        socket, certificate: certificate, files: files, limits: limits, loop: loop,
        serves: { [weak self] host in self?.servesInside(host) ?? false },
        deliver: { [weak self] socket, source, local in
          guard let self else { return socket.close(resetting: true) }
          inside.accept(socket, from: source, at: local)
        })
    } catch {
      socket.close()
      throw error
    }
  }

  /// Whether HTTPS for the host ends here: by TCP, a share that holds the name for TLS comes first.
  private func servesInside(_ host: String) -> Bool {
    let name = PublicName.canonical(host) ?? PublicName.rest
    return certificate?.credentials(for: host) != nil
      && places[LeaseBook.Place(kind: .tls, port: 0, name: name)] == nil
  }

  private func makeDoor(_ kind: DoorKind) -> PublicDoor {
    PublicDoor(kind: kind, limits: limits, loop: loop) { [weak self] visitor, name in
      guard let self else { return visitor.socket.close(resetting: true) }
      admit(visitor, wanting: name)
    }
  }

  /// Where the shared ports are.
  var doorAddresses: [PublicKind: SocketAddress] { doors.mapValues(\.listener.address) }

  /// Closes every port and breaks off every visit.
  func close() {
    for (door, listener) in doors.values {
      listener.close()
      door.close()
    }
    doors.removeAll()
    http3?.close()
    http3 = nil
    inside.close()
    for stay in Array(flows.values) { stay.flow.abort() }
    watch.stop()
    for place in places.values { place.close() }
    places.removeAll()
    nodes.removeAll()
  }
}

// MARK: - Nodes

extension PublicListeners {
  /// - Returns: whether the message may come at this time; if not, the connection is closed.
  ///
  /// - Parameter source: where the node is, as far as the relay can tell.
  func take(_ message: PublicMessage, from peer: RelayPeer, at source: SocketAddress) -> Bool {
    switch message {
    case .listen(let request):
      guard nodes[ObjectIdentifier(peer)]?[request.number] == nil else { return false }
      reply(answer(request, of: peer, source), to: peer)
      return true
    case .unlisten(let number):
      guard let (member, place) = nodes[ObjectIdentifier(peer)]?[number] else { return true }
      leave(member, place)
      endIfIdle(member)
      return true
    case .health(let number, let isUp):
      note(isUp: isUp, listener: number, of: peer)
      return true
    case .listening, .ended: return false
    }
  }

  private func answer(
    _ request: PublicRequest, of peer: RelayPeer, _ source: SocketAddress
  ) -> PublicMessage.Answer {
    var answer = PublicMessage.Answer(
      number: request.number, status: .listening, port: request.port, host: host)
    guard let identity = peer.identity else { return answer }
    do throws(PublicStatus) {
      let place = try open(request, for: identity, of: peer, source)
      answer.port = doors[place.place.kind]?.listener.address.port ?? place.place.port
      onEvent(.listening(identity, place.place.description))
    } catch {
      answer.status = error
      totals.listensRefused += 1
      onEvent(.listenRefused(identity, error))
    }
    return answer
  }

  /// A port that a node was told of is its own, whatever happens to the relay then. It may have lost
  /// it again before that; then it was told so.
  private func reply(_ answer: PublicMessage.Answer, to peer: RelayPeer) {
    let member = nodes[ObjectIdentifier(peer)]?[answer.number]?.member
    whenLeasesAreKept { [weak self, weak peer] in
      guard let self, let peer,
        nodes[ObjectIdentifier(peer)]?[answer.number]?.member === member
      else { return }
      peer.answer(.listening(.listening(answer)))
    }
  }

  private func open(
    _ request: PublicRequest, for identity: PublicKey, of peer: RelayPeer,
    _ source: SocketAddress
  ) throws(PublicStatus) -> PublicPlace {
    guard let kind = request.kind else { throw .unknownKind }
    guard kind.hasName ? doors[kind] != nil : book.ports != nil else { throw .notOffered }
    if kind.hasName {
      guard PublicName.isLeasable(request.name) else { throw .nameNotAllowed }
    }
    let scope = peer.admission?.scope
    if let refusal = access.mayListen(scope, request) { throw refusal }
    let own = nodes[ObjectIdentifier(peer)]?.count ?? 0
    guard own < limits.listenersPerNodeMax, addresses.total < limits.listenersMax,
      addresses.count(of: source) < limits.listenersPerAddressMax
    else { throw .tooMany }
    let place = try placeFor(request, identity, within: scope?.ports ?? [])
    lastSerial += 1
    join(
      place, PublicMember(peer: peer, request: request, source: source, serial: lastSerial))
    return place
  }

  /// Leases a place, and opens it if it is not open yet.
  private func placeFor(
    _ request: PublicRequest, _ identity: PublicKey, within ports: [ClosedRange<UInt16>]
  ) throws(PublicStatus) -> PublicPlace {
    var unusable: Set<UInt16> = []
    while true {
      let before = book
      let found = try book.take(
        request, by: identity, within: ports, limits: limits, unusable: unusable, now: loop.now)
      if let place = places[found] {
        guard !request.group.isEmpty else { return place }
        guard place.members.count < limits.membersMax else { throw .tooMany }
        return place
      }
      let place = PublicPlace(found, group: request.group)
      do throws(RuntimeError) {
        try bind(place)
        places[found] = place
        if book != before { onLeases() }
        return place
      } catch {
        book = before
        guard request.port == 0, error.code == EADDRINUSE, unusable.count < Self.bindsMax else {
          throw error.code == EADDRINUSE || error.code == EACCES ? .portInUse : .tooMany
        }
        unusable.insert(found.port)
      }
    }
  }

  private func bind(_ place: PublicPlace) throws(RuntimeError) {
    let address = sockets.host.with(port: place.place.port)
    switch place.place.kind {
    case .http, .tls: break
    case .tcp:
      let listener = try sockets.listen(address) { [weak self, weak place] socket, source, local in
        guard let self, let place else { return socket.close(resetting: true) }
        admit(Visitor(socket: socket, source: source, destination: local), to: place, name: "")
      }
      place.close = listener.close
    case .udp:
      let socket = try sockets.bindDatagrams(address)
      let programs = ProgramDatagrams(socket: socket, gather: gather) {
        [weak self, weak place] end in
        guard let self, let place else { return nil }
        return beginDatagrams(end, at: place)
      }
      place.close = programs.close
    }
  }

  private func join(_ place: PublicPlace, _ member: PublicMember) {
    let (peer, request) = (member.peer, member.request)
    if request.group.isEmpty {
      // The same key again: a process that was started anew, or came back before the relay noticed
      // that it was gone. What the former one still serves goes on.
      for former in place.members {
        place.remove(former)
        former.isLeaving = true
        former.peer.send(.listening(.ended(number: former.request.number, .replaced)))
        forget(former)
      }
    }
    place.add(member)
    nodes[ObjectIdentifier(peer), default: [:]][request.number] = (member, place)
    addresses.add(member.source)
    if place.place.kind == .udp, peer.datagrams == nil { peer.datagrams = datagrams(of: peer) }
  }

  private func datagrams(of peer: RelayPeer) -> DatagramFlows {
    DatagramFlows(
      connection: peer.connection, isSharing: false, timeout: Self.datagramTimeout, loop: loop,
      gather: gather, open: { _ in nil }, began: { _ in }, ended: { _ in })
  }

  /// Its number means nothing any more.
  private func forget(_ member: PublicMember) {
    let node = ObjectIdentifier(member.peer)
    // UDP has no end: who goes on writing goes on at another node.
    member.peer.datagrams?.close(service: member.request.number)
    guard nodes[node]?.removeValue(forKey: member.request.number) != nil else { return }
    addresses.remove(member.source)
    if nodes[node]?.isEmpty == true { nodes[node] = nil }
  }

  /// By age: the order of a dictionary differs from run to run.
  private func visitors(of peer: RelayPeer) -> [PublicFlow] {
    flows.values.filter { $0.member?.peer === peer }.map(\.flow).sorted { $0.serial < $1.serial }
  }

  /// Takes no more visitors; the last one closes the place.
  private func leave(_ member: PublicMember, _ place: PublicPlace) {
    guard !member.isLeaving else { return }
    member.isLeaving = true
    place.remove(member)
    guard place.members.isEmpty, places[place.place] === place else { return }
    places[place.place] = nil
    place.close()
    book.release(place.place, kept: limits.leaseKept, now: loop.now)
    onLeases()
  }

  private func endIfIdle(_ member: PublicMember) {
    guard member.isLeaving, member.flows.isEmpty,
      nodes[ObjectIdentifier(member.peer)]?[member.request.number]?.member === member
    else { return }
    forget(member)
    member.peer.send(.listening(.ended(number: member.request.number, .released)))
  }

  /// The node's connection is gone.
  func forget(_ peer: RelayPeer) {
    for (member, place) in inOrder(nodes[ObjectIdentifier(peer)] ?? [:]) {
      leave(member, place)
      forget(member)
    }
    peer.datagrams?.close()
    for flow in visitors(of: peer) { flow.nodeIsLost() }
  }

  // MARK: Rights that are taken away

  /// The node's right has ended: what it holds is closed at once, and free for others.
  func expel(_ peer: RelayPeer) {
    for (member, place) in inOrder(nodes[ObjectIdentifier(peer)] ?? [:]) {
      revoke(member, place)
    }
  }

  /// Takes other rules; what a node may not have by them ends.
  func apply(names: NameRules, host: String) {
    (access.names, self.host) = (names, host)
    for (member, place) in nodes.values.flatMap(inOrder) {
      guard let refusal = access.mayListen(member.peer.admission?.scope, member.request) else {
        continue
      }
      revoke(member, place)
      member.peer.send(.listening(.ended(number: member.request.number, refusal)))
    }
  }

  private func revoke(_ member: PublicMember, _ place: PublicPlace) {
    leave(member, place)
    if places[place.place] == nil {
      book.drop(place.place)
      onLeases()
    }
    forget(member)
    for flow in Array(member.flows.values) { flow.abort() }
  }

  /// By age: the order of a dictionary differs from run to run.
  private func inOrder(
    _ listeners: [UInt64: Listener]
  ) -> [Listener] {
    listeners.values.sorted { $0.member.serial < $1.member.serial }
  }

  /// Ports of the range that other programs of the machine have.
  private static let bindsMax = 64
  /// As for sessions, where nobody says otherwise.
  private static let datagramTimeout = Duration.seconds(60)
}

// MARK: - Visitors

extension PublicListeners {
  private func admit(_ visitor: Visitor, wanting name: String) {
    guard let kind = visitor.door?.kind,
      let place = places[LeaseBook.Place(kind: kind, port: 0, name: name)]
    else {
      if visitor.door == .tls, unwrap(visitor, wanting: name) { return }
      totals.visitorsRefused += 1
      return visitor.dismiss(visitor.door?.farewell(.nobody, name: name) ?? [], loop: loop)
    }
    admit(visitor, to: place, name: name)
  }

  /// Ends a visitor's TLS where the certificate is for the host; what is inside is HTTP, and names it.
  private func unwrap(_ visitor: Visitor, wanting name: String) -> Bool {
    guard let credentials = certificate?.credentials(for: name) else { return false }
    guard inside.hasPlace(for: visitor.source) else {
      visitor.socket.close(resetting: true)
      return true
    }
    let whole = ReplaySocket(visitor.socket, bytes: visitor.early)
    guard let plain = try? TLSSocket(accepting: whole, credentials: credentials, loop: loop) else {
      return false
    }
    plain.start()
    let socket: any StreamSocket =
      http3.map { AdvertisingSocket(plain, advertisement: $0.advertisement) } ?? plain
    inside.accept(socket, from: visitor.source, at: visitor.destination)
    return true
  }

  private func admit(_ visitor: Visitor, to place: PublicPlace, name: String) {
    guard place.visitors < limits.visitorsPerListenerMax, visitors.total < limits.visitorsMax,
      visitors.count(of: visitor.source) < limits.visitorsPerSourceMax
    else {
      totals.visitorsRefused += 1
      return visitor.dismiss(visitor.door?.farewell(.tooMany, name: name) ?? [], loop: loop)
    }
    lastVisitor += 1
    let flow = PublicFlow(visitor, name: name, serial: lastVisitor, loop: loop, owner: self)
    visitors.add(visitor.source)
    totals.visitors += 1
    place.visitors += 1
    flows[ObjectIdentifier(flow)] = Stay(flow: flow, place: place, source: visitor.source)
    watch.begin()
    flow.start()
  }

  private func hasRoom(_ member: PublicMember) -> Bool {
    let all = nodes[ObjectIdentifier(member.peer)]?.values.reduce(0) { $0 + $1.member.flows.count }
    return all ?? 0 < limits.visitorsPerNodeMax
  }

  private func beginDatagrams(_ end: any DatagramEnd, at place: PublicPlace) -> DatagramFlow? {
    let member = place.choose(for: nil, now: loop.now, takes: { _ in true })
    return member?.peer.datagrams?.openFlow(service: member?.request.number ?? 0, end: end)
  }

  /// Visitors that are served or being asked about.
  var visitorsOpen: Int { flows.count }

  /// The sums so far, with what is open now.
  var report: PublicTotals {
    var report = totals
    report.listenersOpen = addresses.total
    report.listenersDown = nodes.values.reduce(0) { $0 + $1.values.count { $0.member.isDown } }
    report.leases = book.leases.count
    report.visitorsOpen = flows.count
    return report
  }
}

extension PublicListeners: PublicFlowOwner {
  func nextNode(for flow: PublicFlow) -> PublicFlow.Node? {
    let id = ObjectIdentifier(flow)
    guard let stay = flows[id] else { return nil }
    if let former = stay.member {
      former.flows[id] = nil
      flows[id]?.member = nil
      endIfIdle(former)
    }
    guard let member = stay.place.choose(for: flow, now: loop.now, takes: hasRoom) else {
      return nil
    }
    member.flows[id] = flow
    flows[id]?.member = member
    let others = stay.place.members.contains {
      $0 !== member && !$0.isDown && !flow.tried.contains($0.serial)
    }
    return PublicFlow.Node(
      connection: member.peer.connection, listener: member.request.number, serial: member.serial,
      hasOthers: others)
  }

  func whyNobody(takes flow: PublicFlow) -> DoorFailure {
    guard let members = flows[ObjectIdentifier(flow)]?.place.members, !members.isEmpty else {
      return .nobody
    }
    return members.allSatisfy(\.isDown) ? .unhealthy : .tooMany
  }

  func publicFlow(_ flow: PublicFlow, refusedBy node: PublicFlow.Node, code: UInt64?) {
    flows[ObjectIdentifier(flow)]?.member?.noteRefusal(now: loop.now)
  }

  func publicFlowTaken(_ flow: PublicFlow) {
    flows[ObjectIdentifier(flow)]?.member?.noteSuccess()
  }

  func publicFlowEnded(_ flow: PublicFlow, _ report: FlowReport) {
    guard let stay = flows.removeValue(forKey: ObjectIdentifier(flow)) else { return }
    visitors.remove(stay.source)
    stay.place.visitors -= 1
    if let member = stay.member {
      member.flows[ObjectIdentifier(flow)] = nil
      endIfIdle(member)
    }
  }
}
