import QuicTransport

/// Updates a connection's keys as soon as its handshake is confirmed (RFC 9001 §6.1), of which
/// there is no event.
final class KeyUpdate {
  private(set) var isDone = false
  private weak var connection: ConnectionCore?
  private let loop: EpollLoop
  private var timer: LoopTimer?

  init(of connection: ConnectionCore, loop: EpollLoop) {
    self.connection = connection
    self.loop = loop
    let timer = LoopTimer { [weak self] _ in self?.attempt() }
    self.timer = timer
    loop.schedule(timer, at: loop.now + Self.interval)
  }

  deinit {
    if let timer { loop.cancel(timer) }
  }

  private func attempt() {
    guard let connection, let timer else { return }
    isDone = connection.updateKeys()
    if !isDone { loop.schedule(timer, at: loop.now + Self.interval) }
  }

  private static let interval = Duration.milliseconds(1)
}
