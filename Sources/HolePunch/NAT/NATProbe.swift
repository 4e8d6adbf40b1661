public import QuicTransport

/// Finds out what is between a socket and the world, by asking STUN servers: one measurement.
///
///     main socket:  every server, then the other ports and addresses that they tell of
///     spare socket: filtering (answers from elsewhere) and hairpinning
///
/// The first answer gives an address that can be offered; the report becomes better until
/// `isComplete`. Whatever makes somebody send to us unasked is done with the spare socket, which is
/// thrown away afterwards: on some gateways such a packet spoils a port for punching
/// (`PunchMode.primed`).
public struct NATProbe {
  /// Whether everything has been asked and answered, or given up.
  public var isComplete: Bool { questions.allSatisfy { $0.timeout == nil } && effects.isEmpty }

  private let local: [SocketAddress]
  private let port: UInt16
  private var random: any RandomNumberGenerator
  private var questions: [Question] = []
  private var effects: [Effect] = []

  /// A datagram to send.
  public struct Effect: Equatable, Sendable {
    /// The payload.
    public var bytes: [UInt8]
    /// From the socket that is thrown away instead of the one in use.
    public var fromSpare: Bool
    /// Where to.
    public var destination: SocketAddress
  }

  /// What came of asking a server for the main socket's address.
  public struct Sighting: Equatable, Sendable {
    /// Whom we asked.
    public var server: SocketAddress
    /// What it saw; nil as long as there is no answer.
    public var mapped: SocketAddress?
    /// From the first request to the answer: with losses, more than the path's own.
    public var roundTrip: Duration?
  }

  private struct Question {
    let purpose: Purpose
    let asked: Instant
    var transaction: STUNTransaction
    var outcome: STUNTransaction.Outcome?
    var roundTrip: Duration?

    var timeout: Instant? { transaction.timeout }
    var mapped: SocketAddress? {
      guard case .answered(let message, _) = outcome else { return nil }
      return message.mappedAddress
    }
  }

  private enum Purpose {
    /// Which address does the main socket have?
    case mapping
    /// Which address does the spare socket have?
    case spare
    /// Does the spare socket hear another address, another port, itself?
    case otherAddress, otherPort, hairpin
  }

  /// - Parameters:
  ///   - servers: of which two should have different hosts; `serversMax` are asked.
  ///   - interfaces: this machine's addresses.
  ///   - port: the main socket's.
  ///   - random: fit for keys.
  public init(
    servers: [SocketAddress], interfaces: [SocketAddress], port: UInt16,
    random: any RandomNumberGenerator, now: Instant
  ) {
    local = interfaces.map { $0.with(port: port) }
    self.port = port
    self.random = random
    for server in servers.prefix(Self.serversMax) { ask(server, .mapping, now: now) }
    handleTimeout(now: now)
  }

  static let serversMax = 4
  /// The servers, their other addresses, and the spare socket's questions.
  static let questionsMax = 16
}

// MARK: - Inputs and outputs

extension NATProbe {
  /// When to call `handleTimeout`; nil when nothing is under way.
  public var timeout: Instant? { questions.lazy.compactMap(\.timeout).min() }

  /// The next datagram to send, or nil.
  public mutating func nextEffect() -> Effect? {
    effects.isEmpty ? nil : effects.removeFirst()
  }

  /// Asks again what was not answered, and gives up in the end.
  public mutating func handleTimeout(now: Instant) {
    for index in questions.indices {
      switch questions[index].transaction.handleTimeout(now: now) {
      case .send(let bytes):
        let question = questions[index]
        let fromSpare = if case .mapping = question.purpose { false } else { true }
        effects.append(
          Effect(
            bytes: bytes, fromSpare: fromSpare, destination: question.transaction.server))
      case .over(let outcome): questions[index].outcome = outcome
      case .wait: break
      }
    }
  }

  /// Asks one more server, if there is room for it and it is a new one.
  public mutating func add(_ server: SocketAddress, now: Instant) {
    guard !isAsked(server), sightings.count < Self.serversMax else { return }
    ask(server, .mapping, now: now)
    handleTimeout(now: now)
  }

  /// Takes a datagram that may be STUN; false if it is none of ours.
  public mutating func receive(
    _ bytes: [UInt8], from source: SocketAddress, onSpare: Bool, now: Instant
  ) -> Bool {
    guard let message = STUNMessage(bytes) else { return false }
    if message.kind == .request { return hearOurselves(message, onSpare: onSpare) }
    for index in questions.indices {
      guard
        let outcome = questions[index].transaction.receive(message, from: source)
      else { continue }
      questions[index].outcome = outcome
      questions[index].roundTrip = now - questions[index].asked
      askMore(after: questions[index], now: now)
      handleTimeout(now: now)
      return true
    }
    return false
  }

  /// Everyone who was asked for the main socket's address, in order.
  public var sightings: [Sighting] {
    questions.filter { $0.purpose == .mapping }.map {
      Sighting(server: $0.transaction.server, mapped: $0.mapped, roundTrip: $0.roundTrip)
    }
  }

  /// The address at which a server saw the main socket, newest last, without repetitions.
  public var reflexive: [SocketAddress] {
    var found: [SocketAddress] = []
    for address in mapped where !found.contains(address) { found.append(address) }
    return found
  }

  /// What is known by now.
  public var report: NATReport {
    var report = NATReport()
    report.mapping = mapping
    report.filtering = filtering
    report.portDelta = portDelta
    report.lastPort = questions.last { $0.mapped != nil }?.mapped?.port
    report.preservesPort = mapped.first.map { $0.port == port }
    report.hairpins = hairpins
    report.isUDPBlocked =
      !questions.isEmpty && questions.allSatisfy { $0.outcome == .timedOut }
    return report
  }
}

// MARK: - Asking

extension NATProbe {
  private mutating func ask(
    _ server: SocketAddress, _ purpose: Purpose, changing: STUNMessage.ChangeRequest? = nil,
    now: Instant
  ) {
    guard questions.count < Self.questionsMax, server.isUsable else { return }
    questions.append(
      Question(
        purpose: purpose, asked: now,
        transaction: STUNTransaction(
          server: server, changing: changing, now: now, using: &random)))
  }

  private mutating func askMore(after question: Question, now: Instant) {
    guard case .answered(let message, _) = question.outcome else { return }
    let server = question.transaction.server
    switch question.purpose {
    case .mapping:
      if let other = message.otherAddress {
        // RFC 5780 §4.3: the same host's other port, then the other host.
        for address in [server.with(port: other.port), other] where !isAsked(address) {
          ask(address, .mapping, now: now)
        }
      }
      let isFirst = !questions.contains { if case .spare = $0.purpose { true } else { false } }
      if isFirst { ask(server, .spare, now: now) }
    case .spare:
      if message.otherAddress != nil {
        ask(server, .otherAddress, changing: .init(address: true, port: true), now: now)
        ask(server, .otherPort, changing: .init(address: false, port: true), now: now)
      }
      if let mapped = message.mappedAddress { ask(mapped, .hairpin, now: now) }
    case .otherAddress, .otherPort, .hairpin: break
    }
  }

  private func isAsked(_ server: SocketAddress) -> Bool {
    questions.contains { question in
      if case .mapping = question.purpose { question.transaction.server == server } else { false }
    }
  }

  private mutating func hearOurselves(_ message: STUNMessage, onSpare: Bool) -> Bool {
    let asked = questions.firstIndex { question in
      guard case .hairpin = question.purpose else { return false }
      return question.transaction.transaction == message.transaction
    }
    guard onSpare, let asked else { return false }
    let question = questions[asked].transaction
    var echo = STUNMessage(kind: .success, transaction: message.transaction)
    echo.mappedAddress = question.server
    questions[asked].outcome = questions[asked].transaction.receive(echo, from: question.server)
    return true
  }
}

// MARK: - Judging

extension NATProbe {
  /// What servers saw, in the order in which they were asked.
  private var mappings: [(server: SocketAddress, mapped: SocketAddress)] {
    questions.compactMap { question in
      guard case .mapping = question.purpose, let mapped = question.mapped else { return nil }
      return (question.transaction.server, mapped)
    }
  }

  private var mapped: [SocketAddress] { mappings.map(\.mapped) }

  private var mapping: NATReport.Mapping {
    let found = mappings
    guard let first = found.first else { return .unknown }
    if found.contains(where: { local.contains($0.mapped) }) { return .none }
    guard found.contains(where: { $0.mapped != first.mapped }) else {
      return found.count > 1 ? .endpointIndependent : .unknown
    }
    // Two ports of one host tell whether the port matters; without them, assume the worse.
    let pairs = found.flatMap { one in
      found.filter { $0.server != one.server && $0.server.hasSameHost(as: one.server) }
        .map { $0.mapped == one.mapped }
    }
    let dependsOnHost = !pairs.isEmpty && pairs.allSatisfy(\.self)
    return dependsOnHost ? .addressDependent : .addressAndPortDependent
  }

  private var portDelta: Int? {
    guard mapping == .addressDependent || mapping == .addressAndPortDependent else { return nil }
    let ports = mapped.map { Int($0.port) }
    let steps = zip(ports.dropFirst(), ports).map { $0 - $1 }.filter { $0 != 0 }
    guard let least = steps.min(by: { abs($0) < abs($1) }),
      steps.allSatisfy({ abs($0) <= NATReport.deltaMax && $0.signum() == least.signum() })
    else { return nil }
    return least
  }

  private var filtering: NATReport.Filtering {
    func outcome(_ purpose: (Purpose) -> Bool) -> STUNTransaction.Outcome? {
      questions.first { purpose($0.purpose) }?.outcome
    }
    let address = outcome { if case .otherAddress = $0 { true } else { false } }
    let port = outcome { if case .otherPort = $0 { true } else { false } }
    let server = questions.first { if case .otherPort = $0.purpose { true } else { false } }?
      .transaction.server
    if case .answered(_, let source) = address, let server, !source.hasSameHost(as: server) {
      return .endpointIndependent
    }
    switch (address, port) {
    case (.timedOut, .answered(_, let source)) where source != server: return .addressDependent
    case (.timedOut, .timedOut): return .addressAndPortDependent
    default: return .unknown
    }
  }

  private var hairpins: Bool? {
    let question = questions.first { if case .hairpin = $0.purpose { true } else { false } }
    switch question?.outcome {
    case .answered: return true
    case .timedOut: return false
    case .refused, nil: return nil
    }
  }
}
