/// How the connections to a public place are spread over the nodes of its group.
public enum Balance: String, CaseIterable, Sendable {
  /// One after the other.
  case roundRobin = "round-robin"
  /// To the one with the fewest open connections.
  case leastConnections = "least-connections"
  /// To the one with the shortest round trip to the relay.
  case leastLatency = "least-latency"

  /// On the wire.
  var number: UInt8 {
    switch self {
    case .roundRobin: 0
    case .leastConnections: 1
    case .leastLatency: 2
    }
  }

  /// Later versions may know more; those become the plain one.
  init(number: UInt8) {
    self = Self.allCases.first { $0.number == number } ?? .roundRobin
  }

  /// One node, as far as the choice goes.
  struct Candidate {
    var connections: Int
    var roundTrip: Duration
    /// It answers, and its target did not refuse a connection just now.
    var isHealthy: Bool
    /// It refused this connection already.
    var wasTried: Bool
  }

  /// The place of the node to try; nil when all were tried. One that is not healthy is tried when
  /// nobody else is left: it may have recovered.
  ///
  /// - Parameter turn: grows with every call; breaks ties, so that equals take turns.
  func choose(among candidates: [Candidate], turn: Int) -> Int? {
    let left = candidates.indices.filter { !candidates[$0].wasTried }
    let healthy = left.filter { candidates[$0].isHealthy }
    let choice = healthy.isEmpty ? left : healthy
    guard !choice.isEmpty else { return nil }
    let start = turn % choice.count
    let inTurn = choice[start...] + choice[..<start]
    return switch self {
    case .roundRobin: inTurn.first
    case .leastConnections:
      inTurn.min { candidates[$0].connections < candidates[$1].connections }
    case .leastLatency: inTurn.min { candidates[$0].roundTrip < candidates[$1].roundTrip }
    }
  }
}
