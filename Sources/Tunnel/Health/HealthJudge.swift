/// Judges a target by its checks, sans-I/O.
///
///     unknown --good--> up --`fall` bad ones in a row--> down --`rise` good ones in a row--> up
///        '----bad--> down
///
/// The first check decides alone: a share whose service is not there yet takes no visitors, and one
/// whose service is there need not wait.
struct HealthJudge {
  /// Nil before the first check.
  private(set) var isUp: Bool?
  private let fall: Int
  private let rise: Int
  /// Checks in a row that speak against what is believed.
  private var contrary = 0

  init(fall: Int, rise: Int) {
    precondition(fall > 0 && rise > 0)
    (self.fall, self.rise) = (fall, rise)
  }

  /// Takes the outcome of a check; whether another verdict follows from it.
  mutating func note(isGood: Bool) -> Bool {
    guard let isUp else {
      self.isUp = isGood
      return true
    }
    guard isGood != isUp else {
      contrary = 0
      return false
    }
    contrary += 1
    guard contrary >= (isUp ? fall : rise) else { return false }
    contrary = 0
    self.isUp = isGood
    return true
  }
}
