import HolePunch
import QuicTransport
import Simulation
import Testing

/// Every kind of NAT against every other, with the real machines at both ends.
@Suite("NAT matrix")
struct NATMatrixTests {
  static let kinds: [(name: String, settings: SimNAT.Settings)] = [
    ("full cone", .fullCone), ("addr. restricted", .addressRestricted),
    ("port restricted", .portRestricted), ("Linux home", .linuxHome),
    ("Linux open", .linuxOpen), ("symm. random", .symmetricRandom),
    ("symm. regular", .symmetricRegular), ("addr. dependent", .addressDependent),
  ]

  /// What takes 64512 times 4 packets to get through: both choose ports that cannot be guessed, and
  /// both look at the other's port.
  private static func isHopeless(_ one: Int, _ other: Int) -> Bool {
    [one, other].contains(5) && [5, 6].contains(one) && [5, 6].contains(other)
  }

  @Test("direct everywhere but where nothing can be guessed, and that is said at once")
  func matrix() {
    var lines = ["median ms from the later start to a path on both sides, \(Seeds.all.count) runs"]
    lines.append(Self.row("", Self.kinds.map(\.name)))
    for (row, one) in Self.kinds.enumerated() {
      var cells: [String] = []
      for (column, other) in Self.kinds.enumerated() {
        var times: [Duration] = []
        for seed in Seeds.all {
          let time = run(one.settings, other.settings, seed, Self.isHopeless(row, column))
          if let time { times.append(time) }
        }
        cells.append(Self.cell(times))
      }
      lines.append(Self.row(one.name, cells))
    }
    print(lines.joined(separator: "\n"))
  }

  private func run(
    _ one: SimNAT.Settings, _ other: SimNAT.Settings, _ seed: UInt64, _ isHopeless: Bool
  ) -> Duration? {
    let world = PunchWorld {
      $0.seed = seed
      $0.first = one
      $0.second = other
    }
    world.start()
    let time = world.timeToDirect(within: isHopeless ? .seconds(3) : .seconds(20))
    if isHopeless {
      for peer in [world.first, world.second] {
        let first = peer.failures.first
        #expect(first?.failure == .bothNATsUnpredictable, "seed \(seed)")
        #expect((first?.at ?? .distantFuture) - world.startedAt < .milliseconds(300))
        #expect(peer.sentCount == 0, "nothing is sent that cannot help")
      }
      #expect(time == nil)
    } else {
      #expect(time != nil, "seed \(seed): \(one) and \(other)")
      #expect(time == nil || world.pathCarries, "seed \(seed)")
    }
    return time
  }

  private static func cell(_ times: [Duration]) -> String {
    guard !times.isEmpty else { return "relay" }
    let median = times.sorted()[times.count / 2]
    let share = times.count < Seeds.all.count ? " \(times.count)/\(Seeds.all.count)" : ""
    return "\(Int(median.seconds * 1_000))\(share)"
  }

  private static func row(_ name: String, _ cells: [String]) -> String {
    ([name] + cells).map { text in
      String(repeating: " ", count: max(1, 17 - text.count)) + text
    }.joined()
  }
}
