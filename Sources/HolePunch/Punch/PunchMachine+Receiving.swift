public import QuicTransport

// What the peer says. Nothing is sent for a datagram that the peer has not just made.
extension PunchMachine {
  /// Takes a datagram that begins like a probe; false if it belongs to another pair.
  @discardableResult
  public mutating func receive(
    _ bytes: [UInt8], from source: SocketAddress, socket: Int, now: Instant
  ) -> Bool {
    let original = middleware.reversed().reduce(Optional(bytes)) { bytes, part in
      bytes.flatMap { part.incoming($0, from: source) }
    }
    guard let original, ProbeMessage.pair(of: original) == keys.pair else { return false }
    guard let message = ProbeMessage(original, keys: keys) else {
      note(.dropped(.badSignature, from: source))
      return true
    }
    guard seen.accept(message.number) else {
      note(.dropped(.replayed, from: source))
      return true
    }
    round = max(round, message.round)
    switch message.type {
    case .probe: answer(message, from: source, socket: socket, now: now)
    case .answer: take(message, from: source, socket: socket, now: now)
    }
    sendDue(now: now)
    return true
  }

  private mutating func answer(
    _ message: ProbeMessage, from source: SocketAddress, socket: Int, now: Instant
  ) {
    guard source.isUsable, answers.take(now: now) else {
      note(.dropped(.tooMany, from: source))
      return
    }
    note(.probed(from: source, socket: socket))
    send(
      .answer, isChosen: message.isChosen, transaction: message.transaction, observed: source,
      to: source, socket: socket, hopLimit: nil)
    guard let index = targetHeard(from: source, socket: socket, now: now) else { return }
    if message.isChosen, !keys.isFirst { targets[index].isChosen = true }
    if targets[index].isChosen, state != .direct, let path = targets[index].path {
      succeed(path, now: now)
    }
  }

  /// The target that the peer's probe came from, newly made if need be; nil if none is wanted.
  private mutating func targetHeard(
    from source: SocketAddress, socket: Int, now: Instant
  ) -> Int? {
    if let index = targets.firstIndex(where: { $0.address == source && $0.socket == socket }) {
      if state != .direct { targets[index].hear(now: now) }
      return index
    }
    let learned = targets.count { $0.kind == .peerReflexive }
    guard state != .direct, learned < Self.peerReflexiveMax else { return nil }
    var target = PunchTarget(source, socket: socket, kind: .peerReflexive, now: now)
    target.hear(now: now)
    targets.append(target)
    return targets.count - 1
  }

  private mutating func take(
    _ message: ProbeMessage, from source: SocketAddress, socket: Int, now: Instant
  ) {
    guard let question = pending[message.transaction], question.address == source,
      question.socket == socket
    else {
      note(.dropped(.unexpected, from: source))
      return
    }
    pending[message.transaction] = nil
    let roundTrip = now - question.sent
    note(.answered(from: source, roundTrip: roundTrip))
    guard let index = answered(from: source, socket: socket, now: now) else { return }
    if question.isChosen { targets[index].due = nil }
    guard targets[index].path == nil else { return }
    let path = PunchedPath(
      socket: socket, remote: source, kind: targets[index].kind, observed: message.observed,
      roundTrip: roundTrip)
    targets[index].path = path
    effects.append(.validated(path))
    guard state != .direct else { return }
    if keys.isFirst {
      targets[index].choose(now: now)
      succeed(path, now: now)
    } else if targets[index].isChosen {
      succeed(path, now: now)
    } else {
      targets[index].due = nil
    }
  }

  /// The target that answered; a port that a search hit becomes one.
  private mutating func answered(
    from source: SocketAddress, socket: Int, now: Instant
  ) -> Int? {
    if let index = targets.firstIndex(where: { $0.address == source && $0.socket == socket }) {
      return index
    }
    guard targets.count < Self.targetsMax else { return nil }
    targets.append(PunchTarget(source, socket: socket, kind: .predicted, now: now))
    return targets.count - 1
  }

  private mutating func succeed(_ path: PunchedPath, now: Instant) {
    state = .direct
    self.path = path
    search = nil
    for index in targets.indices where !(keys.isFirst && targets[index].isChosen) {
      targets[index].due = nil
    }
    deadlines = Deadlines()
    deadlines.settle = opened.isEmpty ? nil : now + Self.settleTime
    retry.reset()
    freshPortsLeft = Self.freshPortsMax
    effects.append(.succeeded(path))
  }
}
