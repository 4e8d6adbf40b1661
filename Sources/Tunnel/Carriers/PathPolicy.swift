/// Whether sessions may go directly, through a relay, or either way.
public enum PathPolicy: String, CaseIterable, Sendable {
  /// Through a relay at once, directly as soon as that stands, and back.
  case automatic = "auto"
  /// Directly or not at all: a relay introduces the peers, and carries nothing of a session.
  case direct
  /// Through a relay alone; peers are told none of our addresses.
  case relay

  func allows(_ kind: CarrierKind) -> Bool {
    switch self {
    case .automatic: true
    case .direct: kind != .relay
    case .relay: kind == .relay
    }
  }

  /// Whether a relay may carry sessions.
  var takesRelay: Bool { self != .direct }

  /// Whether it is of use to find out how we can be reached, and to say so.
  var looksForDirect: Bool { self != .relay }
}
