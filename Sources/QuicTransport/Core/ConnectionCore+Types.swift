extension ConnectionCore {
  enum State {
    case handshaking
    case open
    case closing(until: Instant)
    case draining(until: Instant)
    case closed

    /// ngtcp2 may still be called.
    var isLive: Bool {
      switch self {
      case .handshaking, .open: true
      case .closing, .draining, .closed: false
      }
    }

    var isClosed: Bool {
      if case .closed = self { return true }
      return false
    }
  }

  enum Event {
    case ready
    case opened(StreamCore)
    case streamsAllowed
    case closed(QuicError)
  }

  enum CallbackError {
    case cryptoBufferExceeded
    case tooManyFrames

    /// What the peer is told, and what we say (RFC 9000 §20.1).
    var meaning: (code: UInt64, reason: String) {
      switch self {
      case .cryptoBufferExceeded: (0x0d, "too much handshake data")
      case .tooManyFrames: (0x0a, "too many frames of no use")
      }
    }
  }
}
