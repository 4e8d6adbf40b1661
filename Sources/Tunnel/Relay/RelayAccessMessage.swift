/// What a node and its relay say about who may do what: types 36 to 43 of `RelayMessage`.
/// docs/protocol.md has the bytes and test vectors.
enum RelayAccessMessage: Equatable {
  /// 36, to the relay: the secret of a token, before the first REGISTER.
  case token(secret: [UInt8])
  /// 37, to the node: the token was taken, and what it allows.
  case rights(Rights)
  /// 38, to the node: a message of this type was not followed, and why (`RelayDenial`).
  case denied(type: UInt64, reason: UInt8)
  /// 39, to the node: the relay stops, and is likely to come back.
  case restarting(Restart)

  /// Whether it is the relay that says this.
  var isOfRelay: Bool {
    if case .token = self { false } else { true }
  }

  struct Rights: Equatable {
    /// Whether the node may register.
    var relays: Bool
    /// In seconds since 1970; 0 for never.
    var expiry: UInt64
    /// What may be relayed for all who use the token; 0 where it has no bound of its own.
    var bytesPerSecond: UInt64
  }

  struct Restart: Equatable {
    /// In milliseconds: connections end then, or before.
    var stopsIn: UInt64
    /// In milliseconds: nodes come back at a random moment of this interval after the end, so that
    /// they do not come all at once.
    var spread: UInt64
  }

  /// The types that are ours.
  static let types: ClosedRange<UInt64> = 36...43

  var type: UInt64 {
    switch self {
    case .token: 36
    case .rights: 37
    case .denied: 38
    case .restarting: 39
    }
  }

  func write(to body: inout WireWriter) {
    switch self {
    case .token(let secret): body.prefixed(secret)
    case .rights(let rights):
      body.byte(rights.relays ? Self.relays : 0)
      body.varint(rights.expiry)
      body.varint(rights.bytesPerSecond)
    case .denied(let type, let reason):
      body.varint(type)
      body.byte(reason)
    case .restarting(let restart):
      body.varint(restart.stopsIn)
      body.varint(restart.spread)
    }
  }

  /// Decodes a body of one of `types`: nil if it is malformed, unknown where the type is.
  static func message(type: UInt64, _ reader: inout WireReader) -> RelayMessage? {
    switch type {
    case 36:
      return reader.prefixed(max: secretMax).map { .access(.token(secret: Array($0))) }
    case 37:
      guard let flags = reader.byte(), let expiry = reader.varint(), let rate = reader.varint()
      else { return nil }
      return .access(
        .rights(
          Rights(relays: flags & relays != 0, expiry: expiry, bytesPerSecond: rate)))
    case 38:
      guard let denied = reader.varint(), let reason = reader.byte() else { return nil }
      return .access(.denied(type: denied, reason: reason))
    case 39:
      guard let stops = reader.varint(), let spread = reader.varint(), stops <= restartMax,
        spread <= restartMax
      else { return nil }
      return .access(.restarting(Restart(stopsIn: stops, spread: spread)))
    default: return .unknown(type: type)
    }
  }

  private static let relays: UInt8 = 1
  /// Secrets have 16 bytes; a later version may want more.
  private static let secretMax = 64
  /// An hour in milliseconds.
  private static let restartMax: UInt64 = 3_600_000
}
