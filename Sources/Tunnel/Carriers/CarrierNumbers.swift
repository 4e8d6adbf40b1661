/// Gives carriers their numbers, unique within one endpoint.
final class CarrierNumbers {
  private var last: UInt64 = 0

  func next() -> UInt64 {
    last += 1
    return last
  }
}
