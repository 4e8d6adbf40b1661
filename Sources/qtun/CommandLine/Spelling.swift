/// Finds what a user probably meant.
enum Spelling {
  /// Longer words get no suggestion, so that a long argument costs no time.
  static let wordMax = 40

  /// The candidate closest to a word, if one is close enough to be worth naming.
  ///
  /// Close enough is one slip for each three letters, or a candidate that the word begins.
  static func nearest(to word: String, among candidates: [String]) -> String? {
    let word = word.lowercased()
    guard !word.isEmpty, word.unicodeScalars.count <= wordMax else { return nil }
    let slipsMax = max(1, word.unicodeScalars.count / 3)
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      let distance = distance(word, candidate)
      // One letter for one letter is no slip but another option: `-x` is not a `-v`.
      guard distance <= slipsMax, distance < candidate.unicodeScalars.count else { continue }
      if distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    if let best { return best.candidate }
    let begun = candidates.filter { $0.hasPrefix(word) }
    return word.unicodeScalars.count >= 2 && begun.count == 1 ? begun[0] : nil
  }

  /// The Damerau-Levenshtein distance in its restricted form (optimal string alignment): how many
  /// letters must be inserted, removed, replaced or swapped with their neighbour, each at most
  /// once.
  static func distance(_ left: String, _ right: String) -> Int {
    let left = Array(left.unicodeScalars)
    let right = Array(right.unicodeScalars)
    guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in 1...left.count {
      var current = [row]
      for column in 1...right.count {
        let replacement = left[row - 1] == right[column - 1] ? 0 : 1
        var cost = min(
          last[column] + 1, current[column - 1] + 1, last[column - 1] + replacement)
        if row > 1, column > 1, left[row - 1] == right[column - 2],
          left[row - 2] == right[column - 1]
        {
          cost = min(cost, beforeLast[column - 2] + 1)
        }
        current.append(cost)
      }
      (beforeLast, last) = (last, current)
    }
    return last[right.count]
  }
}
