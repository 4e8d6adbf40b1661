/// Which kinds of carrier a session may use.
public enum CarrierPolicy: Sendable {
  /// UDP where it passes, the others where it does not, and back.
  case automatic
  /// This kind and no other.
  case only(CarrierKind)

  func allows(_ kind: CarrierKind) -> Bool {
    switch self {
    case .automatic: true
    case .only(let only): only == kind
    }
  }
}
