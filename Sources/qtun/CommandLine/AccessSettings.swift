/// What a ticket is limited to, as the command line says it.
struct TicketLimits: Equatable, Sendable {
  /// The services that it is for; empty for all.
  var services: [String] = []
  /// When it ends.
  var expires: Expiry?
  /// How many identities may use it.
  var uses: UInt64?
  /// What it is called.
  var label: String?

  /// Whether it is an ordinary ticket.
  var isEmpty: Bool { self == TicketLimits() }
}

/// What `qtun ticket` needs.
struct TicketSettings: Equatable, Sendable {
  /// The file with the private key.
  let identityFile: String
  /// What to do.
  let action: Action

  /// One of the commands under `qtun ticket`.
  enum Action: Equatable, Sendable {
    /// Make one for a running share, that at `port` if there are several; `addresses` stand in for
    /// those that it found.
    case make(TicketLimits, port: UInt16?, addresses: [HostPort])
    /// Tell what is in one; `-` is standard input.
    case show(TicketSource)
    case list
    /// Take one back, by its number, its text or its label.
    case revoke(String)
  }
}
