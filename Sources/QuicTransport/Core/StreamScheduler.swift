/// The order in which streams get into packets.
///
/// Deficit round robin with two queues, after FQ-CoDel (RFC 8290 §4.2): a stream that has been idle
/// goes to the fresh queue, which is served first, so a keystroke does not wait behind bulk; a
/// stream that used up its turn goes to the end of the old queue. A turn is large enough that the
/// receiving side gets bytes in useful pieces.
struct StreamScheduler {
  private var fresh = Queue()
  private var old = Queue()
  /// Bytes left of the current turn.
  private var turn = StreamScheduler.turnBytes

  /// Adds an idle stream.
  mutating func enqueue(_ stream: StreamCore) {
    guard stream.sendState == .idle else { return }
    stream.sendState = .queued
    fresh.append(stream)
  }

  /// The stream whose turn it is.
  var current: StreamCore? { fresh.first ?? old.first }

  /// Notes what `current` sent; ends its turn when that is used up or it has nothing left.
  mutating func sent(_ count: Int, hasMore: Bool) {
    turn -= count
    if !hasMore {
      remove(to: .idle)
    } else if turn <= 0, let stream = remove(to: .queued) {
      old.append(stream)
    }
  }

  /// Takes `current` out, because it is blocked or gone.
  @discardableResult
  mutating func remove(to state: StreamCore.SendState) -> StreamCore? {
    let stream = fresh.isEmpty ? old.popFirst() : fresh.popFirst()
    stream?.sendState = state
    turn = Self.turnBytes
    return stream
  }

  mutating func removeAll() {
    while remove(to: .idle) != nil {}
  }

  private static let turnBytes = 32 * 1024

  /// A FIFO whose front moves through an array.
  private struct Queue {
    private var items: [StreamCore?] = []
    private var head = 0

    var isEmpty: Bool { head == items.count }
    var first: StreamCore? { isEmpty ? nil : items[head] }

    mutating func append(_ stream: StreamCore) {
      items.append(stream)
    }

    mutating func popFirst() -> StreamCore? {
      guard !isEmpty else { return nil }
      let stream = items[head]
      items[head] = nil
      head += 1
      if head == items.count {
        items.removeAll(keepingCapacity: true)
        head = 0
      } else if head >= 1_024, head * 2 > items.count {
        items.removeFirst(head)
        head = 0
      }
      return stream
    }
  }
}
