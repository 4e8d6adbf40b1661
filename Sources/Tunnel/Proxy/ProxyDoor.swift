internal import QuicTransport

/// Talks with the local programs that connect to a proxy port until each has said where it wants to
/// go. On the loop.
final class ProxyDoor {
  private let service: String
  private let credentials: ProxyCredentials?
  private let loop: any EventLoop
  private let associations: SocksAssociations?
  private let wished: (any StreamSocket, FlowWish) -> Void
  private var conversations: [ObjectIdentifier: Conversation] = [:]

  /// - Parameters:
  ///   - service: the dynamic service that destinations are reached through.
  ///   - associations: takes over those that want UDP; nil where there is none.
  ///   - wished: takes over a connection whose request is known.
  init(
    service: String, credentials: ProxyCredentials?, loop: any EventLoop,
    associations: SocksAssociations?, wished: @escaping (any StreamSocket, FlowWish) -> Void
  ) {
    self.associations = associations
    self.service = service
    self.credentials = credentials
    self.loop = loop
    self.wished = wished
  }

  /// Takes over a connection that a program made.
  ///
  /// - Parameter path: between it and us; nil where it has no address, as with a Unix socket.
  func accept(_ socket: any StreamSocket, over path: NetworkPath?) {
    guard conversations.count < Self.conversationsMax else {
      return socket.close(resetting: true)
    }
    let conversation = Conversation(socket, path, door: self)
    conversations[ObjectIdentifier(conversation)] = conversation
    conversation.start()
  }

  /// Ends every conversation, and what came of those about UDP.
  func close() {
    for conversation in conversations.values { conversation.giveUp() }
    associations?.close()
  }

  /// Programs that say nothing hold a place for ten seconds; more than these at once are an attack.
  private static let conversationsMax = 512

  /// One program.
  private final class Conversation: StreamSocketHandler {
    private let socket: any StreamSocket
    private let path: NetworkPath?
    private unowned let door: ProxyDoor
    private var parser: ProxyParser
    private var timer: LoopTimer?

    init(_ socket: any StreamSocket, _ path: NetworkPath?, door: ProxyDoor) {
      self.socket = socket
      self.path = path
      self.door = door
      parser = ProxyParser(credentials: door.credentials)
    }

    func start() {
      socket.handler = self
      let timer = LoopTimer { [weak self] _ in self?.giveUp() }
      self.timer = timer
      door.loop.schedule(timer, at: door.loop.now + Self.timeout)
      listen()
    }

    func giveUp() {
      guard leave() else { return }
      socket.close(resetting: true)
    }

    private func listen() {
      withUnsafeTemporaryAllocation(byteCount: Self.pieceSize, alignment: 1) { buffer in
        while timer != nil {
          switch socket.read(into: buffer) {
          case .moved(let count):
            parser.append(buffer[..<count])
            takeSteps()
          case .blocked: return
          case .ended, .failed: giveUp()
          }
        }
      }
    }

    private func takeSteps() {
      while timer != nil {
        switch parser.next() {
        case .needsMore: return
        case .reply(let words):
          if !socket.accepts(words) { giveUp() }
        case .refuse(let words):
          if leave() { Farewell.say(words, to: socket, loop: door.loop) }
        case .request(let request):
          let header = FlowHeader(service: door.service, destination: request.destination)
          let wish = FlowWish(header: header, early: request.early, dialect: request.dialect)
          if leave() { door.wished(socket, wish) }
        case .associate(let port):
          if leave() { associate(port) }
        }
      }
    }

    /// The datagrams of a program without an address could be anybody's.
    private func associate(_ port: UInt16) {
      guard let associations = door.associations, let path else {
        return Farewell.say(ProxyDialect.socks5Reply(0x07), to: socket, loop: door.loop)
      }
      associations.begin(socket, over: path, port: port)
    }

    /// Ends the conversation, once; what becomes of the socket is for the caller.
    private func leave() -> Bool {
      guard let timer else { return false }
      door.loop.cancel(timer)
      self.timer = nil
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

    /// For the whole request, however slowly it comes.
    private static let timeout = Duration.seconds(10)
    /// What is read beyond the request is kept until the flow is open.
    private static let pieceSize = 4_096
  }
}
