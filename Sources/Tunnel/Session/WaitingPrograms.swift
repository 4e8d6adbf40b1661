internal import QuicTransport

/// Local connections that wait for a session, or for the peer to allow more flows; first come, first
/// served. While there is no session, nobody waits for ever.
final class WaitingPrograms {
  /// A connection, and what it shall become.
  struct Program {
    let socket: any StreamSocket
    let wish: FlowWish
    fileprivate let deadline: Instant
  }

  private let loop: any EventLoop
  private var programs: [Program] = []
  private var timer: LoopTimer?

  /// Whether those who wait for too long are sent away: while there is no session.
  var isTimeLimited = true {
    didSet { armTimer() }
  }

  init(loop: any EventLoop) {
    self.loop = loop
  }

  var first: Program? { programs.first }

  var isFull: Bool { programs.count >= Self.countMax }

  func append(_ socket: any StreamSocket, wish: FlowWish) {
    programs.append(Program(socket: socket, wish: wish, deadline: loop.now + Self.timeMax))
    armTimer()
  }

  func removeFirst() {
    programs.removeFirst()
    armTimer()
  }

  func discardAll() {
    for program in programs { program.socket.close(resetting: true) }
    programs.removeAll()
    armTimer()
  }

  private func armTimer() {
    guard isTimeLimited, let first = programs.first else {
      if let timer { loop.cancel(timer) }
      timer = nil
      return
    }
    guard timer == nil else { return }
    let timer = LoopTimer { [weak self] now in
      self?.timer = nil
      self?.discardOverdue(now: now)
    }
    self.timer = timer
    loop.schedule(timer, at: first.deadline)
  }

  private func discardOverdue(now: Instant) {
    while let first = programs.first, first.deadline <= now {
      programs.removeFirst()
      first.socket.close(resetting: true)
    }
    armTimer()
  }

  /// A burst of a busy program; each takes a descriptor.
  private static let countMax = 1_024
  /// A program that gets no answer for longer has mostly given up itself.
  private static let timeMax = Duration.seconds(30)
}
