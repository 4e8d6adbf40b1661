internal import QuicTransport

/// The questions of one session that wait for their bytes to come back. Bound to its loop.
final class Pings {
  private var next: UInt64 = 0
  private var waiting: [UInt64: Waiting] = [:]

  private struct Waiting {
    let timer: LoopTimer
    let completion: (Bool) -> Void
  }

  /// Sends one; `completion` hears, once and on the loop, whether it came back in time.
  func send(
    on session: SessionCore, loop: any EventLoop, patience: Duration,
    completion: @escaping (Bool) -> Void
  ) {
    next += 1
    let number = next
    let timer = LoopTimer { [weak self] _ in self?.finish(number, isAnswered: false) }
    waiting[number] = Waiting(timer: timer, completion: completion)
    loop.schedule(timer, at: loop.now + patience)
    session.onPong = { [weak self, weak loop] bytes in
      var reader = WireReader(bytes)
      guard let self, let loop, let number = reader.uint64(), let found = waiting[number] else {
        return
      }
      loop.cancel(found.timer)
      finish(number, isAnswered: true)
    }
    var writer = WireWriter()
    writer.uint64(number)
    writer.raw([UInt8](repeating: 0, count: Self.paddingCount))
    session.ping(writer.bytes)
  }

  /// Gives up all that wait.
  func abandon(on loop: any EventLoop) {
    for (number, found) in waiting {
      loop.cancel(found.timer)
      finish(number, isAnswered: false)
    }
  }

  private func finish(_ number: UInt64, isAnswered: Bool) {
    waiting.removeValue(forKey: number)?.completion(isAnswered)
  }

  /// As large as data: a path that passes small packets alone does not pass this.
  private static let paddingCount = 1_000
}

/// What a ping found.
public struct PingAnswer: Sendable {
  /// There and back, with whatever QUIC had to repeat.
  public var roundTrip: Duration
  /// The road that the session took when the answer came.
  public var path: SessionPath

  /// An answer by its parts.
  public init(roundTrip: Duration, path: SessionPath) {
    self.roundTrip = roundTrip
    self.path = path
  }
}
