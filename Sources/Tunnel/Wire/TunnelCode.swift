/// The application error codes of `qtun/1`, in CONNECTION_CLOSE and in RESET_STREAM and
/// STOP_SENDING. They are part of the protocol: numbers are never reused.
enum TunnelCode {
  // Connection
  static let done: UInt64 = 0x00
  static let protocolViolation: UInt64 = 0x01
  static let versionUnsupported: UInt64 = 0x02
  /// The capability proof is missing or wrong.
  static let notAuthorized: UInt64 = 0x03
  static let helloTimeout: UInt64 = 0x04
  static let shuttingDown: UInt64 = 0x05
  /// Another address answered first; this connection is not needed.
  static let superfluous: UInt64 = 0x06
  /// Both sides said FINISHED: everything is with the programs.
  static let drained: UInt64 = 0x07
  /// The ticket was taken back, or is not in the list of tickets.
  static let revoked: UInt64 = 0x08
  static let expired: UInt64 = 0x09
  /// As many identities as the ticket allows have used it.
  static let usedUp: UInt64 = 0x0a
  static let identityNotAllowed: UInt64 = 0x0b
  /// The same dialer opened another session, because this one was lost to it.
  static let replaced: UInt64 = 0x0c
  /// The sharing side has too many sessions that nobody is heard of.
  static let dormant: UInt64 = 0x0d

  // Stream
  /// The local connection was reset, or its program vanished.
  static let localReset: UInt64 = 0x100
  /// Nothing listens at the target.
  static let targetRefused: UInt64 = 0x101
  /// The target could not be reached.
  static let targetUnreachable: UInt64 = 0x102
  static let unknownService: UInt64 = 0x103
  static let malformedHeader: UInt64 = 0x104
  static let sessionEnding: UInt64 = 0x105
  /// The service takes one flow and has it.
  static let targetBusy: UInt64 = 0x106
  /// The sharing side does not allow this destination.
  static let targetNotAllowed: UInt64 = 0x107
  /// The destination's name has no address.
  static let nameNotFound: UInt64 = 0x108
  /// The ticket is not for this service.
  static let notInScope: UInt64 = 0x109
  /// The service takes another kind of flow.
  static let serviceMismatch: UInt64 = 0x10a
}
