internal import Synchronization

/// Messages from other threads to whatever lives on one loop: in order, many at a time, and with one
/// wake-up for all that wait.
///
/// Hops between loops cost as much as several packets, so whoever has many packets sends them as one
/// message.
public final class LoopMailbox<Message: Sendable>: LoopMail {
  private let loop: any EventLoop
  private let waiting = Lock<[Message]>([])
  /// As many as there are in `waiting`; read without the lock.
  private let count = Atomic<Int>(0)
  // SAFETY: set before the loop runs or on it, and used on it alone.
  nonisolated(unsafe) private var onMessage: ((Message) -> Void)?
  // SAFETY: used on the loop alone.
  nonisolated(unsafe) private var isDelivering = false

  /// - Parameter loop: the receiver's.
  public init(loop: any EventLoop) {
    self.loop = loop
  }

  /// Names the receiver, which is kept until it is replaced by nil. On the loop, or before it runs.
  public func setReceiver(_ receiver: ((Message) -> Void)?) {
    onMessage = receiver
  }

  /// Adds a message, from any thread.
  ///
  /// - Parameter countMax: false, and nothing is added, when as many wait already.
  @discardableResult
  public func post(_ message: Message, unlessWaiting countMax: Int = .max) -> Bool {
    let position = waiting.withLock { waiting -> Int? in
      guard waiting.count < countMax else { return nil }
      waiting.append(message)
      count.store(waiting.count, ordering: .relaxed)
      return waiting.count
    }
    if position == 1 { loop.post(self) }
    return position != nil
  }

  /// Hands over what has arrived. Called by the loop, and by a receiver that wants to know earlier;
  /// does nothing while a message is being taken.
  public func deliver() {
    guard count.load(ordering: .relaxed) > 0, !isDelivering else { return }
    isDelivering = true
    defer { isDelivering = false }
    let messages = waiting.withLock { waiting in
      defer { waiting = [] }
      count.store(0, ordering: .relaxed)
      return waiting
    }
    for message in messages { onMessage?(message) }
  }
}

/// A mailbox as its loop sees it.
public protocol LoopMail: AnyObject, Sendable {
  /// Hands over what has arrived. On the loop.
  func deliver()
}
