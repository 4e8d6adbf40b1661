internal import QuicTransport

/// The UDP flows of one session, on either side: DATAGRAM frames to payloads and back.
///
///     program or server <--> DatagramEnd <--> flow <--> header, fragments <--> DATAGRAM frames
///
/// Nothing is repeated, acknowledged or put in order, so that no datagram waits for another. A flow
/// begins with its first datagram and ends when it is idle, or when it was not used for the longest
/// time of too many.
final class DatagramFlows {
  /// How many flows began.
  private(set) var flowsOpened = 0

  private let connection: ConnectionCore
  private let isSharing: Bool
  private let timeout: Duration
  private let loop: any EventLoop
  private let gather: DatagramGather
  private let open: Open
  private let began: (UInt64) -> Void
  private let ended: (DatagramFlowReport) -> Void
  private var flows: [UInt64: DatagramFlow] = [:]
  /// Most datagrams belong to the flow of the one before.
  private var latest: DatagramFlow?
  private var reassembler = Reassembler()
  /// Flows that the peer may begin: a socket is opened for each.
  private var beginnings: TokenBucket
  private var total = DatagramTraffic()
  private var nextFlow: UInt64 = 0
  private var nextCut: UInt64 = 0
  private var timer: LoopTimer?
  private var isClosed = false

  /// Makes the end of a flow that the peer begins with a datagram to a service; nil refuses it.
  typealias Open = (_ service: UInt64) -> (any DatagramEnd)?

  /// - Parameters:
  ///   - timeout: how long a flow may be idle.
  ///   - gather: through which the ends send.
  ///   - open: on the sharing side; the dialling side begins all flows itself.
  ///   - began: told of each flow's number, and `ended` of what became of it.
  init(
    connection: ConnectionCore, isSharing: Bool, timeout: Duration, loop: any EventLoop,
    gather: DatagramGather, open: @escaping Open, began: @escaping (UInt64) -> Void,
    ended: @escaping (DatagramFlowReport) -> Void
  ) {
    self.connection = connection
    self.isSharing = isSharing
    self.timeout = timeout
    self.loop = loop
    self.gather = gather
    self.open = open
    self.began = began
    self.ended = ended
    beginnings = TokenBucket(rate: Self.flowsPerSecond, burst: Self.flowsBurst, now: loop.now)
    timer = LoopTimer { [weak self] now in self?.expire(now: now) }
  }

  var flowsOpen: Int { flows.count }

  /// What all flows moved, those that ended included, and what was dropped before it belonged to one.
  var traffic: DatagramTraffic {
    var traffic = total
    traffic.dropped += reassembler.droppedCount + connection.statistics.datagramFramesDropped
    return traffic
  }

  /// Begins a flow to a service of the sharing side.
  func openFlow(service: UInt64, end: any DatagramEnd) -> DatagramFlow {
    defer { nextFlow += 1 }
    return insert(nextFlow, service: service, end: end)
  }

  /// Ends all flows; safe to call again.
  func close() {
    isClosed = true
    if let timer { loop.cancel(timer) }
    for flow in flows.values.sorted(by: { $0.number < $1.number }) {
      remove(flow, because: .closed)
    }
  }

  /// Ends the flows of one service; what its programs send next begins new ones.
  func close(service: UInt64) {
    let ours = flows.values.filter { $0.service == service }
    for flow in ours.sorted(by: { $0.number < $1.number }) { remove(flow, because: .closed) }
  }

  func remove(_ flow: DatagramFlow, because ending: DatagramFlowReport.Ending) {
    guard flows.removeValue(forKey: flow.number) != nil else { return }
    if latest === flow { latest = nil }
    flow.detach()
    ended(DatagramFlowReport(number: flow.number, traffic: flow.traffic, ending: ending))
  }

  func noteRefused(_ flow: DatagramFlow) {
    flow.traffic.refused += 1
    total.refused += 1
  }

  /// At most this many flows at once, so that a peer cannot take all descriptors.
  static let flowsMax = 1_024
  /// A resolver that asks from a new port each time, with room to spare; opening and closing the
  /// sockets takes a few percent of a core.
  private static let flowsPerSecond = 1_024.0
  private static let flowsBurst = 2_048.0
  /// To open a socket and close that of an older flow, as measured.
  private static let beginningTime = Duration.microseconds(45)
}

// MARK: - To the peer

extension DatagramFlows {
  /// Sends a payload, in fragments if no packet takes it whole.
  func send(_ payload: UnsafeRawBufferPointer, from flow: DatagramFlow) {
    flow.lastUsed = loop.now
    let header = DatagramHeader(
      flow: flow.number, service: isSharing ? nil : flow.service, fragment: nil)
    let sizeMax = connection.datagramSizeMax
    let isSent = withUnsafeTemporaryAllocation(
      byteCount: DatagramHeader.sizeMax, alignment: 8
    ) { memory in
      let size = header.write(to: memory)
      guard size + payload.count > sizeMax else {
        return queue(UnsafeRawBufferPointer(rebasing: memory[..<size]), payload)
      }
      return cut(payload, header, sizeMax: sizeMax, memory)
    }
    if isSent {
      flow.traffic.noteSent(payload.count)
      total.noteSent(payload.count)
    } else {
      flow.traffic.dropped += 1
      total.dropped += 1
    }
  }

  private func cut(
    _ payload: UnsafeRawBufferPointer, _ header: DatagramHeader, sizeMax: Int,
    _ memory: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let most = DatagramHeader.fragmentsMax
    var header = header
    header.fragment = DatagramHeader.Fragment(number: nextCut, index: most, count: most)
    let room = sizeMax - header.write(to: memory)
    guard room > 0, payload.count <= room * most else { return false }
    nextCut += 1
    let count = (payload.count + room - 1) / room
    // The path took less than the header leaves room for: one that fits whole never gets here.
    guard count > 1 else { return false }
    for index in 0..<count {
      header.fragment?.index = index
      header.fragment?.count = count
      let size = header.write(to: memory)
      let piece = payload[index * room..<min((index + 1) * room, payload.count)]
      let isQueued = queue(
        UnsafeRawBufferPointer(rebasing: memory[..<size]), UnsafeRawBufferPointer(rebasing: piece))
      guard isQueued else { return false }
    }
    return true
  }

  /// False when the peer takes no datagrams, or is gone.
  private func queue(_ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> Bool {
    do throws(DatagramError) {
      try connection.sendDatagram(header, payload)
      return true
    } catch {
      return false
    }
  }
}

// MARK: - From the peer

extension DatagramFlows {
  /// Takes a DATAGRAM frame; what does not follow the protocol is dropped, as the network might have
  /// done.
  func receive(_ frame: UnsafeRawBufferPointer) {
    guard !isClosed, let (header, bytes) = DatagramHeader.decode(frame, namesService: isSharing)
    else {
      total.dropped += 1
      return
    }
    guard let fragment = header.fragment else { return pass(bytes, header) }
    let whole = reassembler.add(fragment, of: header.flow, bytes, now: loop.now)
    if let whole {
      whole.withUnsafeBytes { pass($0, header) }
    } else if let deadline = reassembler.deadline {
      arm(at: deadline)
    }
  }

  /// Everything of this tick was received.
  func flush() {
    gather.flush()
  }

  private func pass(_ payload: UnsafeRawBufferPointer, _ header: DatagramHeader) {
    guard let flow = flow(of: header) else {
      total.dropped += 1
      return
    }
    flow.lastUsed = loop.now
    guard payload.count <= DatagramHeader.payloadMax, flow.end.send(payload) else {
      flow.traffic.dropped += 1
      total.dropped += 1
      return
    }
    flow.traffic.noteReceived(payload.count)
    total.noteReceived(payload.count)
  }

  private func flow(of header: DatagramHeader) -> DatagramFlow? {
    let known = latest?.number == header.flow ? latest : flows[header.flow]
    if let known {
      // A flow keeps the service that it began with.
      guard header.service == nil || header.service == known.service else { return nil }
      latest = known
      return known
    }
    guard let service = header.service, beginnings.take(now: loop.now), let end = open(service)
    else { return nil }
    connection.chargeDelivery(Self.beginningTime)
    return insert(header.flow, service: service, end: end)
  }

  private func insert(_ number: UInt64, service: UInt64, end: any DatagramEnd) -> DatagramFlow {
    // A thousand at most: looking at all of them is nothing beside opening a socket.
    if flows.count >= Self.flowsMax, let oldest = flows.values.min(by: Self.isUsedEarlier) {
      remove(oldest, because: .evicted)
    }
    let flow = DatagramFlow(
      number: number, service: service, end: end, owner: self, now: loop.now)
    flows[number] = flow
    latest = flow
    flowsOpened += 1
    arm(at: loop.now + timeout)
    began(number)
    return flow
  }

  /// By number where the time is the same, so that a simulation is the same each time.
  private static func isUsedEarlier(_ left: DatagramFlow, _ right: DatagramFlow) -> Bool {
    (left.lastUsed, left.number) < (right.lastUsed, right.number)
  }
}

// MARK: - Time

extension DatagramFlows {
  private func arm(at deadline: Instant) {
    guard let timer, !timer.isArmed || deadline < timer.deadline else { return }
    loop.schedule(timer, at: deadline)
  }

  private func expire(now: Instant) {
    reassembler.expire(now: now)
    for flow in flows.values.sorted(by: Self.isUsedEarlier)
    where now - flow.lastUsed >= timeout {
      remove(flow, because: .idle)
    }
    if let deadline = reassembler.deadline { arm(at: deadline) }
    if let oldest = flows.values.min(by: Self.isUsedEarlier) { arm(at: oldest.lastUsed + timeout) }
  }
}

extension DatagramTraffic {
  fileprivate mutating func noteSent(_ count: Int) {
    sent += 1
    bytesSent += UInt64(count)
  }

  fileprivate mutating func noteReceived(_ count: Int) {
    received += 1
    bytesReceived += UInt64(count)
  }
}
