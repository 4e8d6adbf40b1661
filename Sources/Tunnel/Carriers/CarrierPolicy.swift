/// Which kinds of carrier a session may use.
public enum CarrierPolicy: Sendable {
  /// UDP where it passes, the others where it does not, and back.
  case automatic
  /// As `automatic`, but the session moves to another carrier this often, for tests of moving.
  case cycling(every: Duration)
  /// This kind and no other. A relay is reached by this kind as well, and by any for `.relay`.
  case only(CarrierKind)

  func allows(_ kind: CarrierKind) -> Bool {
    switch self {
    case .automatic, .cycling: true
    case .only(let only): only == kind || kind == .relay
    }
  }

  /// How the relay itself may be reached.
  var towardsRelay: CarrierPolicy {
    if case .only(.relay) = self { .automatic } else { self }
  }
}
