internal import QuicTransport

/// The sharing side's end of a UDP flow whose datagrams each name their target: one socket that is
/// connected to nothing, so that every target sees the same port, as behind most NATs (RFC 4787 §4.1).
///
/// A target is judged once, by the rules of its service, and a name is looked up once. Answers pass
/// from addresses that were sent to, and from no others.
///
///     first datagram --> finding --> allowed --> forgotten, used least of too many
///                           '------> denied  --> judged anew, 10 s later
final class NamedDatagrams: DatagramEnd, DatagramReceiver {
  weak var flow: DatagramFlow?

  private let socket: any DatagramSocket
  private let rules: TargetRules
  private let finder: TargetFinder
  private let allowance: TargetAllowance
  private let gather: DatagramGather
  private let loop: any EventLoop
  private var places: [DatagramTarget: Place] = [:]
  /// Most datagrams go where the one before went.
  private var latest: Place?
  /// From where answers are taken, and how many targets stand for each address.
  private var answerers: [SocketAddress: Int] = [:]

  /// Takes a socket over.
  init(
    socket: any DatagramSocket, rules: TargetRules, finder: TargetFinder,
    allowance: TargetAllowance, gather: DatagramGather, loop: any EventLoop
  ) {
    self.socket = socket
    self.rules = rules
    self.finder = finder
    self.allowance = allowance
    self.gather = gather
    self.loop = loop
    socket.receiver = self
  }

  func close() {
    // What was gathered for it leaves before the socket goes.
    gather.flush()
    socket.close()
    allowance.release(places.count)
    places.removeAll()
    answerers.removeAll()
    latest = nil
  }

  /// As many as a program of a peer-to-peer network talks to within seconds.
  static let targetsMax = 256

  /// One target.
  private final class Place {
    let target: DatagramTarget
    var state = State.finding([])
    var lastUsed: Instant

    enum State {
      /// With what waits for it.
      case finding([[UInt8]])
      case allowed(SocketAddress)
      case denied(until: Instant)
    }

    init(_ target: DatagramTarget, now: Instant) {
      self.target = target
      lastUsed = now
    }

    /// Keeps a datagram until the name is found; the first may be of any size.
    func hold(_ payload: UnsafeRawBufferPointer, behind waiting: [[UInt8]]) -> Bool {
      let bytes = waiting.reduce(payload.count) { $0 + $1.count }
      guard waiting.isEmpty || waiting.count < Self.heldMax && bytes <= Self.heldBytesMax else {
        return false
      }
      state = .finding(waiting + [Array(payload)])
      return true
    }

    /// What a program sends before it waits for an answer.
    private static let heldMax = 8
    private static let heldBytesMax = 16 * 1024
  }
}

// MARK: - To targets

extension NamedDatagrams {
  func send(_ payload: UnsafeRawBufferPointer) -> Bool {
    guard let (target, bytes) = DatagramTarget.decode(payload), let place = place(of: target)
    else { return false }
    place.lastUsed = loop.now
    switch place.state {
    case .finding(let waiting): return place.hold(bytes, behind: waiting)
    case .allowed(let address): return send(bytes, to: address)
    case .denied: return false
    }
  }

  private func send(_ bytes: UnsafeRawBufferPointer, to address: SocketAddress) -> Bool {
    gather.send(bytes, through: socket, on: NetworkPath(local: .any, remote: address))
  }

  private func place(of target: DatagramTarget) -> Place? {
    let known = latest?.target == target ? latest : places[target]
    if let known {
      if case .denied(let until) = known.state, until <= loop.now {
        forget(known)
      } else {
        latest = known
        return known
      }
    }
    var isName = false
    if case .name = target { isName = true }
    if places.count >= Self.targetsMax { forgetOldest() }
    guard allowance.take(isName: isName, now: loop.now) else { return nil }
    let place = Place(target, now: loop.now)
    places[target] = place
    latest = place
    finder.find(target.destination, rules: rules) { [weak self, weak place, allowance] result in
      if isName { allowance.endLookup() }
      if let self, let place { found(place, result) }
    }
    return place
  }

  private func found(_ place: Place, _ result: Result<[SocketAddress], TargetFinder.Refusal>) {
    // It may have been forgotten meanwhile.
    guard places[place.target] === place, case .finding(let waiting) = place.state else { return }
    // Exactly these: looking the name up again could give others.
    let address = (try? result.get())?.first { !socket.sourceAddress(towards: $0).isUnspecified }
    guard let address else {
      place.state = .denied(until: loop.now + Self.denialTime)
      return
    }
    place.state = .allowed(address)
    answerers[address, default: 0] += 1
    for datagram in waiting { _ = datagram.withUnsafeBytes { send($0, to: address) } }
    // The look-up came back outside of the session's part of a tick.
    if !waiting.isEmpty { gather.flush() }
  }

  /// By name where the time is the same, so that a simulation is the same each time.
  private func forgetOldest() {
    let oldest = places.values.min { left, right in
      left.lastUsed == right.lastUsed
        ? left.target.destination.description < right.target.destination.description
        : left.lastUsed < right.lastUsed
    }
    if let oldest { forget(oldest) }
  }

  private func forget(_ place: Place) {
    places[place.target] = nil
    if latest === place { latest = nil }
    allowance.release(1)
    guard case .allowed(let address) = place.state, let count = answerers[address] else { return }
    answerers[address] = count > 1 ? count - 1 : nil
  }

  /// A name may appear that was not there, but not for each datagram.
  private static let denialTime = Duration.seconds(10)
}

// MARK: - From targets

extension NamedDatagrams {
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let (source, bytes) = (datagram.path.remote, datagram.bytes)
    guard answerers[source] != nil,
      bytes.count + DatagramTarget.addressSizeMax <= DatagramHeader.payloadMax
    else { return }
    withUnsafeTemporaryAllocation(
      byteCount: DatagramTarget.addressSizeMax + bytes.count, alignment: 8
    ) { memory in
      let size = DatagramTarget.write(source, to: memory)
      UnsafeMutableRawBufferPointer(rebasing: memory[size...]).copyBytes(from: bytes)
      flow?.send(UnsafeRawBufferPointer(rebasing: memory[..<(size + bytes.count)]))
    }
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}
