internal import QuicTransport

// Sending what is due, one packet per slot.
extension PunchMachine {
  mutating func sendDue(now: Instant) {
    // A late timer catches up with a few packets, not with a burst.
    let earliest = Instant(
      nanoseconds: now.nanoseconds - min(now.nanoseconds, Self.catchUp.wholeNanoseconds))
    nextSlot = max(nextSlot, earliest)
    while nextSlot <= now, let pace = sendNext(now: now) {
      nextSlot = nextSlot + pace
    }
  }

  /// Sends one probe if one is due; returns the time until the next may follow.
  private mutating func sendNext(now: Instant) -> Duration? {
    guard probeCount < Self.probesMax else {
      stopProbing()
      return nil
    }
    var next: Int?
    for (index, target) in targets.enumerated() {
      guard let due = target.due, due <= now else { continue }
      if next.flatMap({ targets[$0].due }).map({ due < $0 }) ?? true { next = index }
    }
    if let next {
      let hopLimit = targets[next].take(now: now)
      let target = targets[next]
      probe(
        target.address, socket: target.socket, isChosen: keys.isFirst && target.isChosen,
        hopLimit: hopLimit, now: now)
      return plan?.mode == .birthday ? Self.pacePrimers : Self.pace
    }
    guard var search, search.due <= now else { return nil }
    probe(search.ports.next(), socket: socket, isChosen: false, hopLimit: nil, now: now)
    search.left -= 1
    search.due = now
    self.search = search.left > 0 ? search : nil
    return Self.paceSearch
  }

  private mutating func stopProbing() {
    search = nil
    for index in targets.indices { targets[index].due = nil }
  }

  private mutating func probe(
    _ address: SocketAddress, socket: Int, isChosen: Bool, hopLimit: UInt8?, now: Instant
  ) {
    let transaction = TransactionID(using: &random)
    probeCount += 1
    pending[transaction] = Pending(
      address: address, socket: socket, sent: now, isChosen: isChosen)
    send(
      .probe, isChosen: isChosen, transaction: transaction, observed: .any, to: address,
      socket: socket, hopLimit: hopLimit)
  }

  func signed(_ message: ProbeMessage, to destination: SocketAddress) -> [UInt8]? {
    middleware.reduce(message.encoded(keys: keys)) { bytes, part in
      bytes.flatMap { part.outgoing($0, to: destination) }
    }
  }

  mutating func send(
    _ type: ProbeMessage.MessageType, isChosen: Bool, transaction: TransactionID,
    observed: SocketAddress, to destination: SocketAddress, socket: Int, hopLimit: UInt8?
  ) {
    // A peer that made us count that far has had its answers.
    guard number < .max else { return }
    number += 1
    let message = ProbeMessage(
      type: type, isChosen: isChosen, round: round, number: number, transaction: transaction,
      observed: observed)
    guard let bytes = signed(message, to: destination) else { return }
    effects.append(
      .send(
        PunchDatagram(bytes: bytes, socket: socket, destination: destination, hopLimit: hopLimit)))
  }

  private static let pace = Duration.milliseconds(2)
  /// 256 ports open within 128 ms.
  private static let pacePrimers = Duration.microseconds(500)
  private static let paceSearch = Duration.milliseconds(1)
  private static let catchUp = Duration.milliseconds(8)
}
