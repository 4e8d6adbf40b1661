/// The application error codes of `qtun-relay/1`, in CONNECTION_CLOSE. Numbers are never reused.
enum RelayCode {
  /// The node needs the rendezvous no more.
  static let done: UInt64 = 0x00
  static let protocolViolation: UInt64 = 0x01
  static let versionUnsupported: UInt64 = 0x02
  /// Another connection of the same identity came later.
  static let replaced: UInt64 = 0x03
  static let helloTimeout: UInt64 = 0x04
  static let shuttingDown: UInt64 = 0x05
  /// Too many nodes, in all or at one address.
  static let full: UInt64 = 0x06
  /// More messages than any honest node sends.
  static let tooMuch: UInt64 = 0x07
  /// Another address of the rendezvous answered first.
  static let superfluous: UInt64 = 0x08
  /// The node may not register without a token, and showed none.
  static let tokenNeeded: UInt64 = 0x20
  static let tokenWrong: UInt64 = 0x21
  static let tokenExpired: UInt64 = 0x22
  static let tokenRevoked: UInt64 = 0x23
  /// Not on the list of those who may register.
  static let identityNotAllowed: UInt64 = 0x24
  /// Who may register cannot be looked up now.
  static let undecidable: UInt64 = 0x25
  /// The token does not allow what was asked.
  static let notInScope: UInt64 = 0x26
  /// The relay is about to stop and takes nobody new.
  static let restarting: UInt64 = 0x27
}
