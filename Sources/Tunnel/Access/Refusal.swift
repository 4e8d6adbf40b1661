/// Why the sharing side does not let a peer in, or sends it away.
enum Refusal: Error, Equatable {
  /// The proof is missing or wrong, or the ticket is none of this share's.
  case wrongProof
  /// The ticket's grant was revoked, or is not in the list of tickets.
  case revoked
  case expired
  /// As many identities as the ticket allows have used it, and this one is none of them.
  case usedUp
  case identityNotAllowed
  /// None of the services that the ticket is for is shared.
  case nothingInScope
  /// A file that says who may come in cannot be read or written now.
  case undecidable

  /// One of `TunnelCode`.
  var code: UInt64 {
    switch self {
    case .wrongProof, .nothingInScope, .undecidable: TunnelCode.notAuthorized
    case .revoked: TunnelCode.revoked
    case .expired: TunnelCode.expired
    case .usedUp: TunnelCode.usedUp
    case .identityNotAllowed: TunnelCode.identityNotAllowed
    }
  }

  /// For people at the other side.
  var reason: String {
    switch self {
    case .wrongProof: "the ticket is not valid here"
    case .revoked: "the ticket was revoked"
    case .expired: "the ticket has expired"
    case .usedUp: "the ticket was used by as many identities as it allows"
    case .identityNotAllowed: "this identity is not on the list"
    case .nothingInScope: "the services that the ticket is for are not shared any more"
    case .undecidable: "the sharing side cannot look up who may come in now"
    }
  }

  /// Whether it is a failure that the source has to wait for: what strangers try over and over.
  var isThrottled: Bool { self == .wrongProof || self == .identityNotAllowed }
}
