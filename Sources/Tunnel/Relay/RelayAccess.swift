/// Who may use a relay.
///
/// Only those who want to be found need a right: whoever looks for one of them is vouched for by it,
/// since nothing begins before the registered node has agreed.
public struct RelayAccess: Sendable {
  /// The tokens that it takes; nil takes none.
  public var tokens: TokenFile?
  /// Identities that need no token; nil for none.
  public var allowed: AccessRules.AllowedIdentities?
  /// Whether everybody may do everything.
  public var isOpen: Bool

  /// Everybody may do everything.
  public static let open = RelayAccess(tokens: nil, allowed: nil, isOpen: true)

  /// All of it; nothing has a default that changes behaviour.
  public init(
    tokens: TokenFile?, allowed: AccessRules.AllowedIdentities?, isOpen: Bool
  ) {
    self.tokens = tokens
    self.allowed = allowed
    self.isOpen = isOpen
  }
}
