/// What an answer's body is read from, as fast as its stream takes it. Called on the loop.
public protocol HTTP3Body: AnyObject {
  /// Fills `buffer` from its front.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> HTTP3BodyPart
}

/// What a body had.
public enum HTTP3BodyPart: Equatable, Sendable {
  /// So many bytes, which may be none; with `isLast`, no more will come.
  case bytes(Int, isLast: Bool)
  /// Nothing for now; `HTTP3Session.resume` is called when there is something.
  case blocked
  /// The rest cannot be had, which ends the connection.
  case failed
}
