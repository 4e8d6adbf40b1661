/// Which kinds of carrier a session may use.
public enum CarrierPolicy: Sendable {
  /// UDP where it passes, the others where it does not, and back.
  case automatic
  /// This kind and no other. A relay is reached by this kind as well, and by any for `.relay`.
  case only(CarrierKind)

  func allows(_ kind: CarrierKind) -> Bool {
    switch self {
    case .automatic: true
    case .only(let only): only == kind || kind == .relay
    }
  }

  /// How the relay itself may be reached.
  var towardsRelay: CarrierPolicy {
    if case .only(.relay) = self { .automatic } else { self }
  }
}
