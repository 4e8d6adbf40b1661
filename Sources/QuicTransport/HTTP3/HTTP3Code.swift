/// Error codes of HTTP/3 that we use ourselves (RFC 9114 §8.1).
public enum HTTP3Code: UInt64, Sendable {
  /// H3_NO_ERROR
  case noError = 0x100
  /// H3_INTERNAL_ERROR
  case internalError = 0x102
  /// H3_EXCESSIVE_LOAD
  case excessiveLoad = 0x107
  /// H3_REQUEST_REJECTED: nothing of it was processed, so it may be sent again.
  case requestRejected = 0x10b
  /// H3_REQUEST_CANCELLED
  case requestCancelled = 0x10c
  /// H3_REQUEST_INCOMPLETE
  case requestIncomplete = 0x10d
  /// H3_MESSAGE_ERROR
  case messageError = 0x10e
}
