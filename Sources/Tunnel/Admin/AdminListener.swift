internal import QuicTransport

/// Answers operators and their programs over HTTP, without encryption or passwords: for loopback, or a
/// network that is theirs.
///
/// So many exchanges at once and no more; who comes on top is closed at once. Bound to its loop.
final class AdminListener {
  let localAddress: SocketAddress
  private let loop: any EventLoop
  private let answer: AdminExchange.Answer
  private var listener: TCPListener?
  private var exchanges: [ObjectIdentifier: AdminExchange] = [:]

  init(
    loop: EpollLoop, address: SocketAddress, answer: @escaping AdminExchange.Answer
  ) throws(RuntimeError) {
    self.loop = loop
    self.answer = answer
    var accept: (TCPSocket) -> Void = { $0.close(resetting: true) }
    let listener = try TCPListener(loop: loop, binding: address) { socket, _ in accept(socket) }
    localAddress = listener.localAddress
    self.listener = listener
    accept = { [weak self] socket in
      guard let self else { return socket.close(resetting: true) }
      self.accept(socket)
    }
  }

  func accept(_ socket: any StreamSocket) {
    guard exchanges.count < Self.exchangesMax else { return socket.close(resetting: true) }
    let exchange = AdminExchange(socket: socket, loop: loop, answer: answer) {
      [weak self] exchange in self?.exchanges[ObjectIdentifier(exchange)] = nil
    }
    exchanges[ObjectIdentifier(exchange)] = exchange
  }

  func close() {
    listener?.close()
    listener = nil
    for exchange in Array(exchanges.values) { exchange.close(resetting: true) }
  }

  /// A few scrapers and a person.
  static let exchangesMax = 16
}
