public import QuicTransport

/// Who may come in, beyond holding a valid ticket.
public struct AccessRules: Sendable {
  /// The list of the restricted tickets that were made; nil lets in none of them.
  public var tickets: LedgerFile?
  /// The only identities that are let in; nil for every one.
  public var allowed: AllowedIdentities?

  /// Whoever holds the share's own ticket.
  public static let ticketAlone = AccessRules(tickets: nil, allowed: nil)

  /// All of it; nothing has a default that changes behaviour.
  public init(tickets: LedgerFile?, allowed: AllowedIdentities?) {
    self.tickets = tickets
    self.allowed = allowed
  }

  /// Identities by themselves, and files of them that are read again when they change.
  public struct AllowedIdentities: Sendable {
    /// Those that are named here.
    public var keys: [PublicKey]
    /// Files with one a line.
    public var files: [String]

    /// Both together are allowed.
    public init(keys: [PublicKey], files: [String]) {
      self.keys = keys
      self.files = files
    }
  }
}
