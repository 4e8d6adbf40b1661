internal import Glibc
internal import QuicTransport

/// The sharing side of reverse listening, for one session: listens where its peer asks, as far as the
/// rules go.
final class ServedListeners {
  /// Begins to listen. The closure is told of each connection and where it comes from.
  typealias Listen = (
    SocketAddress, @escaping (any StreamSocket, SocketAddress) -> Void
  ) throws(RuntimeError) -> OpenListener

  /// An address that is listened on.
  struct OpenListener {
    /// With its real port.
    let address: SocketAddress
    /// Gives it back.
    let close: () -> Void
  }

  private var listeners: [UInt64: OpenListener] = [:]
  /// Nil where the peer may not ask.
  private let offer: ReverseOffer?
  private let accepted: (any StreamSocket, FlowWish) -> Void
  private let onEvent: (TunnelEvent) -> Void
  private var isClosed = false

  /// - Parameter accepted: called on the loop with each connection and what it shall become.
  init(
    offer: ReverseOffer?, onEvent: @escaping (TunnelEvent) -> Void,
    accepted: @escaping (any StreamSocket, FlowWish) -> Void
  ) {
    self.offer = offer
    self.onEvent = onEvent
    self.accepted = accepted
  }

  /// Gives all addresses back and takes no more wishes. Flows that are open go on.
  func close() {
    isClosed = true
    for listener in listeners.values { listener.close() }
    listeners.removeAll()
  }

  /// What becomes of a wish, and where.
  private func open(_ wish: ControlMessage.Listen, for peer: PublicKey?) -> ControlMessage.Listening
  {
    var answer = ControlMessage.Listening(
      number: wish.number, status: .notAllowed, address: wish.address)
    guard wish.kind == .tcp else {
      answer.status = .unknownKind
      return answer
    }
    guard let offer, !isClosed, offer.rules.permit(wish.address) else {
      onEvent(.listenRefused(peer: peer, wish.address))
      return answer
    }
    guard listeners.count < ControlMessage.listenersMax else {
      answer.status = .tooMany
      return answer
    }
    do throws(RuntimeError) {
      let number = wish.number
      let listener = try offer.listen(wish.address) { [weak self] socket, source in
        guard let self, let listener = listeners[number] else {
          return socket.close(resetting: true)
        }
        let header = ReverseHeader(listener: number, source: source)
        accepted(socket, FlowWish(header: header, listener: listener.address))
      }
      listeners[number] = listener
      answer.status = .listening
      answer.address = listener.address
      onEvent(.listeningForPeer(peer: peer, listener.address))
    } catch {
      answer.status = error.code == EADDRINUSE ? .addressInUse : .addressUnusable
    }
    return answer
  }
}

extension ServedListeners: ReverseDelegate {
  func session(_ session: SessionCore, received message: ControlMessage) -> Bool {
    switch message {
    case .listen(let wish):
      guard listeners[wish.number] == nil else { return false }
      session.answer(.listening(open(wish, for: session.connection.peer)))
      return true
    case .unlisten(let number):
      listeners.removeValue(forKey: number)?.close()
      return true
    default: return false
    }
  }
}
