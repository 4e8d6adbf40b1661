/// Why a relay does not serve a node, or serves it no longer; the numbers are those of the wire.
public enum RelayDenial: UInt8, Error, Sendable, CaseIterable {
  /// A reason of a later version.
  case other = 0
  /// It serves holders of tokens.
  case tokenNeeded = 1
  /// None of its tokens.
  case tokenWrong = 2
  case tokenExpired = 3
  case tokenRevoked = 4
  /// It serves the identities on its list.
  case identityNotAllowed = 5
  /// The file that says so cannot be read now.
  case undecidable = 6
  /// The token is for other things.
  case notInScope = 7
  /// It is about to stop.
  case restarting = 8

  /// The application error code of a connection that ends for it.
  var code: UInt64 {
    switch self {
    case .other: RelayCode.protocolViolation
    case .tokenNeeded: RelayCode.tokenNeeded
    case .tokenWrong: RelayCode.tokenWrong
    case .tokenExpired: RelayCode.tokenExpired
    case .tokenRevoked: RelayCode.tokenRevoked
    case .identityNotAllowed: RelayCode.identityNotAllowed
    case .undecidable: RelayCode.undecidable
    case .notInScope: RelayCode.notInScope
    case .restarting: RelayCode.restarting
    }
  }

  /// What a connection that ended with this code ended for; nil for other ends.
  init?(code: UInt64) {
    let found = Self.allCases.first { $0 != .other && $0.code == code }
    guard let found else { return nil }
    self = found
  }

  /// For people at the other side, if their program does not know the code.
  var reason: String {
    switch self {
    case .other: "not allowed"
    case .tokenNeeded: "this relay serves holders of its tokens"
    case .tokenWrong: "the token is none of this relay's"
    case .tokenExpired: "the token has expired"
    case .tokenRevoked: "the token was revoked"
    case .identityNotAllowed: "this identity is not on the relay's list"
    case .undecidable: "the relay cannot look up who may use it now"
    case .notInScope: "the token is not for this"
    case .restarting: "the relay is about to stop"
    }
  }

  /// Whether somebody has to do something before the relay serves the node.
  var isLasting: Bool {
    switch self {
    case .tokenNeeded, .tokenWrong, .tokenExpired, .tokenRevoked, .identityNotAllowed, .notInScope:
      true
    case .other, .undecidable, .restarting: false
    }
  }

  /// Whether it is a failure that the source has to wait for: what strangers try over and over.
  var isThrottled: Bool { self == .tokenWrong }
}
