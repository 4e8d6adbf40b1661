import Testing

@testable import QuicTransport

@Suite("A value behind a lock", .timeLimit(.minutes(1)))
struct LockTests {
  /// A class, as a lock cannot be copied into tasks.
  private final class Board<Value>: Sendable {
    let value: Lock<Value>
    init(_ value: sending Value) { self.value = Lock(value) }
  }

  @Test("what several tasks do at once is done one by one")
  func contention() async {
    let board = Board<[Int]>([])
    let (tasks, count) = (4, 1_000)
    await withTaskGroup { group in
      for task in 0..<tasks {
        group.addTask {
          for number in 0..<count { board.value.withLock { $0.append(task * count + number) } }
        }
      }
    }
    let numbers = board.value.withLock { $0 }
    #expect(numbers.sorted() == Array(0..<tasks * count))
    for task in 0..<tasks {
      let own = numbers.filter { $0 / count == task }
      #expect(own == own.sorted())
    }
  }

  @Test("an error from within leaves it free")
  func errors() {
    struct Refusal: Error {}
    let lock = Lock(1)
    #expect(throws: Refusal.self) { try lock.withLock { _ in throw Refusal() } }
    #expect(lock.withLock { $0 } == 1)
  }

  @Test("the value goes with the lock")
  func ending() {
    final class Value: Sendable {}
    weak var value: Value?
    do {
      let kept = Value()
      value = kept
      let lock = Lock(kept)
      #expect(lock.withLock { $0 === value })
    }
    #expect(value == nil)
  }
}
