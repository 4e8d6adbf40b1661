public import QuicTransport

/// One end of a netpunch connection.
///
///     asking  --i from the control node--> pinging
///     pinging --x--> ponging   (x to the partner, every 100 ms, later every second)
///     pinging --y--> closing
///     ponging --y--> closing   (y to where x came from, every 100 ms; after ten, pinging again)
///     ponging --z--> settling
///     closing --five z, 20 ms apart--> open
///     settling --100 ms--> open
///
/// It registers until it closes: five times 100 ms apart and then every 900 ms, where netpunch's
/// own sleeps for 30 s. `settling` lets the rest of the partner's `z` arrive, so that none of them
/// meets a closed socket or the program that gets the port next.
///
/// Nothing in a datagram says when it was signed. So `i` counts from the control node's address
/// only, `z` from the current partner and after an `x` of its only, `x` and `y` from the partner's
/// machine only (see `isBelievable`); and a copy of a message changes nothing a second time, so it
/// is not answered.
public struct NetpunchPeer: NetpunchMachine {
  private let slot: NetpunchSlot
  private let control: SocketAddress
  private let signer: NetpunchSigner
  private var state = State.asking
  /// What the control node says.
  private var told: SocketAddress?
  private var nextRegistration: Instant
  private var registrations = 0
  private var next = Instant.distantFuture
  /// When a change of state was last answered, and whether the answer to one waits for `next`.
  private var lastTurn: Instant?
  private var isTurnDue = false
  private var tally = ForgeryTally()
  private var outputs: [NetpunchOutput] = []

  /// netpunch's own pace for questions, pings and pongs.
  static let step = Duration.milliseconds(100)
  /// The pace of questions and pings after the first ones: under a second, so that both peers are
  /// done within 1.1 s also where the control node is netpunch's and tells a waiting peer nothing.
  static let slowStep = Duration.milliseconds(900)
  static let registrationsQuick = 5
  static let triesQuick = 10
  static let closes = 5
  static let closeGap = Duration.milliseconds(20)
  /// A change of state is answered at once, but not more often than this: `x` can be copied from
  /// two ports in turn.
  static let turnGap = Duration.milliseconds(20)
  /// How many unanswered questions are worth a word to the user: about five seconds.
  static let registrationsUntilWord = 10

  /// A peer that begins at `now`.
  public init(slot: NetpunchSlot, control: SocketAddress, signer: NetpunchSigner, now: Instant) {
    self.slot = slot
    self.control = control
    self.signer = signer
    nextRegistration = now
  }

  /// The messages of a peer that the secret cannot sign; empty for all but one secret in 2^27.
  public static func unsealable(slot: NetpunchSlot, signer: NetpunchSigner) -> [NetpunchMessage] {
    [.register(slot), .ping, .pong, .close].filter { signer.seal($0.payload) == nil }
  }

  /// When to call `advance`.
  public var deadline: Instant {
    registers ? min(next, nextRegistration) : next
  }

  /// What to send and to tell.
  public mutating func takeOutputs() -> [NetpunchOutput] {
    defer { outputs.removeAll() }
    return outputs
  }

  /// Registers and sends what is due.
  public mutating func advance(now: Instant) {
    if registers, nextRegistration <= now {
      registrations += 1
      send(.register(slot), to: control)
      let isQuick = registrations < Self.registrationsQuick
      nextRegistration = now + (isQuick ? Self.step : Self.slowStep)
      if registrations == Self.registrationsUntilWord, told == nil { outputs.append(.stillWaiting) }
    }
    guard next <= now else { return }
    if isTurnDue {
      isTurnDue = false
      lastTurn = now
    }
    step(now)
  }

  private var registers: Bool {
    switch state {
    case .asking, .pinging, .ponging: true
    case .closing, .settling, .open: false
    }
  }

  private enum State: Equatable {
    case asking
    case pinging(tries: Int)
    case ponging(SocketAddress, tries: Int)
    case closing(SocketAddress, sent: Int)
    case settling(SocketAddress)
    case open

    /// How near the goal is.
    var rank: Int {
      switch self {
      case .asking: 0
      case .pinging: 1
      case .ponging: 2
      case .closing, .settling: 3
      case .open: 4
      }
    }
  }
}

// MARK: - Sending

extension NetpunchPeer {
  /// Sends the state's message and sets the next time.
  private mutating func step(_ now: Instant) {
    switch state {
    case .asking, .open: next = .distantFuture
    case .pinging(let tries):
      guard let told else { return }
      send(.ping, to: told)
      state = .pinging(tries: tries + 1)
      next = now + (tries + 1 < Self.triesQuick ? Self.step : Self.slowStep)
    case .ponging(_, Self.triesQuick):
      // The partner heard nothing, or has restarted: look for it where the control node says.
      enter(.pinging(tries: 0), now)
    case .ponging(let peer, let tries):
      send(.pong, to: peer)
      state = .ponging(peer, tries: tries + 1)
      next = now + Self.step
    case .closing(let peer, Self.closes): finish(peer)
    case .closing(let peer, let sent):
      send(.close, to: peer)
      state = .closing(peer, sent: sent + 1)
      next = now + Self.closeGap
    case .settling(let peer): finish(peer)
    }
  }

  /// Changes the state and sends its message: at once on the way to the goal, else not sooner than
  /// `turnGap` after the last change.
  private mutating func enter(_ state: State, _ now: Instant) {
    let isForward = state.rank > self.state.rank && !isTurnDue
    self.state = state
    if !isForward, let lastTurn, lastTurn + Self.turnGap > now {
      isTurnDue = true
      next = lastTurn + Self.turnGap
    } else {
      isTurnDue = false
      lastTurn = now
      step(now)
    }
  }

  private mutating func finish(_ peer: SocketAddress) {
    state = .open
    next = .distantFuture
    outputs.append(.open(peer))
  }

  private mutating func send(_ message: NetpunchMessage, to address: SocketAddress) {
    guard let datagram = signer.seal(message.payload) else {
      outputs.append(.unsealable(message))
      return
    }
    outputs.append(.send(datagram, message, to: address))
  }
}

// MARK: - Receiving

extension NetpunchPeer {
  /// Takes a datagram from the control node, the partner or a stranger.
  public mutating func receive(
    _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, now: Instant
  ) {
    guard let payload = signer.open(datagram) else {
      if let report = tally.note(source, now: now) { outputs.append(.forged(report)) }
      return
    }
    guard let message = NetpunchMessage(payload, reader: .peer) else { return }
    outputs.append(.heard(message, from: source))
    switch message {
    case .register: break
    case .info(let name, let address):
      guard source == control, name == slot.partner, address.isUnicast else { return }
      learn(address, now)
    case .ping:
      guard isBelievable(source) else { return }
      heardPing(source, now)
    case .pong:
      guard isBelievable(source) else { return }
      heardPong(source, now)
    case .close: heardClose(source, now)
    }
  }

  private mutating func learn(_ address: SocketAddress, _ now: Instant) {
    let isNews = told != address
    told = address
    switch state {
    case .asking: enter(.pinging(tries: 0), now)
    case .pinging where isNews: enter(.pinging(tries: 0), now)
    // The partner may have moved and need a hole to its new address.
    case .ponging(let peer, _) where isNews && !peer.hasHost(of: address):
      enter(.pinging(tries: 0), now)
    case .pinging, .ponging, .closing, .settling, .open: break
    }
  }

  private mutating func heardPing(_ source: SocketAddress, _ now: Instant) {
    switch state {
    case .pinging: enter(.ponging(source, tries: 0), now)
    case .ponging(source, let tries): state = .ponging(source, tries: min(tries, 1))
    case .ponging: enter(.ponging(source, tries: 0), now)
    case .asking, .closing, .settling, .open: break
    }
  }

  private mutating func heardPong(_ source: SocketAddress, _ now: Instant) {
    switch state {
    case .pinging, .ponging: enter(.closing(source, sent: 0), now)
    case .asking, .closing, .settling, .open: break
    }
  }

  private mutating func heardClose(_ source: SocketAddress, _ now: Instant) {
    guard case .ponging(source, _) = state else { return }
    state = .settling(source)
    next = now + Self.closeGap * Self.closes
  }

  /// Whether the partner may be at `source`.
  ///
  /// Its port may differ from what the control node saw (a symmetric NAT), its host may not, since
  /// whoever copies an `x` could make us send to any address. Where one of the two addresses is a
  /// private one this says nothing: a control node in the partner's own network sees it by another
  /// address than we do, and a packet from a private address comes from our own network.
  private func isBelievable(_ source: SocketAddress) -> Bool {
    guard let told, source.isUnicast else { return false }
    return source.hasHost(of: told) || !source.isGlobal || !told.isGlobal
  }
}
