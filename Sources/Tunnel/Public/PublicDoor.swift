internal import QuicTransport

/// A port that shares have in common: reads the first bytes of each connection until they say whose
/// it is, and hands the connection on with them. On the loop.
final class PublicDoor {
  let kind: DoorKind
  private let limits: PublicLimits
  private let loop: any EventLoop
  private let decided: (Visitor, String) -> Void
  private var conversations: [ObjectIdentifier: Conversation] = [:]
  private var sources = SourceTally()

  /// - Parameter decided: takes over a visitor and the name that it wants; `*` where it has none.
  init(
    kind: DoorKind, limits: PublicLimits, loop: any EventLoop,
    decided: @escaping (Visitor, String) -> Void
  ) {
    self.kind = kind
    self.limits = limits
    self.loop = loop
    self.decided = decided
  }

  /// Takes over a connection that a visitor made.
  func accept(_ socket: any StreamSocket, from source: SocketAddress, at local: SocketAddress) {
    guard hasPlace(for: source) else { return socket.close(resetting: true) }
    let visitor = Visitor(socket: socket, source: source, destination: local, door: kind)
    let conversation = Conversation(visitor, door: self)
    conversations[ObjectIdentifier(conversation)] = conversation
    sources.add(source)
    conversation.start()
  }

  /// Whether one more from there would be listened to.
  func hasPlace(for source: SocketAddress) -> Bool {
    conversations.count < limits.undecidedMax
      && sources.count(of: source) < limits.undecidedPerSourceMax
  }

  /// Ends every conversation.
  func close() {
    for conversation in conversations.values { conversation.giveUp() }
  }

  /// The longest head of a request, or a TLS hello with large key shares.
  static let bytesMax = 16 * 1024

  /// One visitor.
  private final class Conversation: StreamSocketHandler {
    private var visitor: Visitor
    private unowned let door: PublicDoor
    private var reader: DoorReader
    private var timer: LoopTimer?

    init(_ visitor: Visitor, door: PublicDoor) {
      self.visitor = visitor
      self.door = door
      reader = DoorReader(kind: door.kind)
    }

    func start() {
      visitor.socket.handler = self
      let timer = LoopTimer { [weak self] _ in self?.expire() }
      self.timer = timer
      door.loop.schedule(timer, at: door.loop.now + door.limits.undecidedFor)
      listen()
    }

    func giveUp() {
      if leave() { visitor.socket.close(resetting: true) }
    }

    private func expire() {
      if leave() { visitor.dismiss(reader.lastWords(after: visitor.early), loop: door.loop) }
    }

    private func listen() {
      while timer != nil {
        let room = PublicDoor.bytesMax - visitor.early.count
        guard room > 0 else { return giveUp() }
        let result = visitor.read(upTo: min(room, 4_096))
        switch result {
        case .moved: judge()
        case .blocked: return
        case .ended, .failed: giveUp()
        }
      }
    }

    private func judge() {
      switch reader.read(visitor.early) {
      case .needsMore: break
      case .name(let name, let host):
        guard leave() else { return }
        if door.kind == .http {
          visitor.socket = HostSocket(
            visitor.socket, host: host, bytes: visitor.early, loop: door.loop)
          visitor.early = []
        }
        door.decided(visitor, name)
      case .refuse(let words):
        if leave() { visitor.dismiss(words, loop: door.loop) }
      }
    }

    /// Ends the conversation, once; what becomes of the socket is for the caller.
    private func leave() -> Bool {
      guard let timer else { return false }
      door.loop.cancel(timer)
      self.timer = nil
      door.sources.remove(visitor.source)
      door.conversations[ObjectIdentifier(self)] = nil
      return true
    }

    func streamSocketConnected() {}

    func streamSocketFailed(_ code: Int32) {
      giveUp()
    }

    func streamSocketReady(_ readiness: Readiness) {
      listen()
    }
  }
}

/// Somebody who connected to a public listener.
struct Visitor {
  /// By HTTP, a `HostSocket`.
  var socket: any StreamSocket
  /// Its address, and the one that it connected to.
  let source: SocketAddress
  let destination: SocketAddress
  /// The shared port that it came by; nil at a port of one share.
  let door: DoorKind?
  /// What it sent before it was known whose it is; for the target.
  var early: [UInt8] = []

  init(
    socket: any StreamSocket, source: SocketAddress, destination: SocketAddress,
    door: DoorKind? = nil
  ) {
    self.socket = socket
    self.source = source
    self.destination = destination
    self.door = door
  }

  /// Reads into `early`.
  mutating func read(upTo count: Int) -> StreamSocketResult {
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
      let result = socket.read(into: buffer)
      if case .moved(let count) = result { early.append(contentsOf: buffer[..<count]) }
      return result
    }
  }

  /// Sends it away with these words, or with a reset if there are none.
  func dismiss(_ words: [UInt8], loop: any EventLoop) {
    if words.isEmpty {
      socket.close(resetting: true)
    } else {
      Farewell.say(words, to: socket, loop: loop)
    }
  }
}
