import Synchronization

/// Counts what parallel threads achieved and lost, and hands out their work.
final class Tally: Sendable {
  private let next = Atomic<Int>(0)
  private let lost = Atomic<Int>(0)
  private let first = Mutex<LoadError?>(nil)

  /// The number of the next piece of work, or nil when all `count` were handed out.
  func nextNumber(below count: Int) -> Int? {
    let number = next.add(1, ordering: .relaxed).oldValue
    return number < count ? number : nil
  }

  /// Counts a failure and keeps the first one's reason.
  func recordLoss(_ error: LoadError) {
    lost.add(1, ordering: .relaxed)
    first.withLock { $0 = $0 ?? error }
  }

  /// How many failed.
  var lostCount: Int { lost.load(ordering: .relaxed) }

  /// Why the first one failed.
  var firstLoss: LoadError? { first.withLock { $0 } }

  /// Adds the losses to a report; any loss makes the measurement a failure.
  func addLosses(to report: inout Report) {
    report.add("lost", lostCount)
    if let firstLoss { report.add("first_loss", "\(firstLoss)") }
  }
}

extension Tally {
  /// Transforms every element; those that throw are counted as lost and left out.
  func keepingSurvivors<Input, Output>(
    of inputs: [Input], _ body: (Input) throws(LoadError) -> Output
  ) -> [Output] {
    var outputs: [Output] = []
    outputs.reserveCapacity(inputs.count)
    for input in inputs {
      do throws(LoadError) {
        outputs.append(try body(input))
      } catch {
        recordLoss(error)
      }
    }
    return outputs
  }
}
