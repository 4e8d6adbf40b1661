/// Why a connection failed or ended. Every case says who decided it and what it means for the
/// caller.
public enum QuicError: Error, Equatable, Sendable {
  /// This side's settings, identity or certificate files cannot be used.
  case configuration(String)
  /// The operating system refused a socket.
  case system(RuntimeError)
  /// No answer arrived within the handshake timeout.
  case handshakeTimeout
  /// Nothing arrived for as long as the idle timeout (RFC 9000 §10.1).
  case idleTimeout
  /// The peer lost its state, usually by a restart (RFC 9000 §10.3).
  case statelessReset
  /// The peer speaks none of our QUIC versions; these are the ones it offered.
  case versionMismatch(offered: [UInt32])
  /// The peers share no application protocol (RFC 7301).
  case protocolMismatch
  /// The peer proved another identity than the one expected: its key, and the one wanted.
  case identityMismatch(expected: PublicKey, actual: PublicKey)
  /// We do not accept the peer's identity or certificate; why.
  case peerRejected(String)
  /// The peer does not accept ours (a TLS certificate alert, RFC 8446 §6.2).
  case rejectedByPeer(alert: UInt8)
  /// A QUIC or TLS error (RFC 9000 §20.1, RFC 9001 §4.8); `isRemote` when the peer reported it.
  case transport(code: UInt64, isRemote: Bool, reason: String)
  /// The application closed the connection with its own code; code 0 is a normal end.
  case application(code: UInt64, isRemote: Bool, reason: String)
}

extension QuicError: CustomStringConvertible {
  /// The reason in words, for people.
  public var description: String {
    switch self {
    case .configuration(let reason): return reason
    case .system(let error): return error.description
    case .handshakeTimeout: return "the peer did not answer"
    case .idleTimeout: return "the peer fell silent"
    case .statelessReset: return "the peer restarted and no longer knows this connection"
    case .versionMismatch(let offered):
      let list = offered.map { "0x" + String($0, radix: 16) }.joined(separator: ", ")
      return "the peer speaks other QUIC versions (\(list))"
    case .protocolMismatch: return "the peer speaks another protocol"
    case .identityMismatch(let expected, let actual):
      return "the peer's identity is \(actual), not \(expected)"
    case .peerRejected(let reason): return "the peer's identity is not accepted: \(reason)"
    case .rejectedByPeer(let alert): return "the peer does not accept our identity (alert \(alert))"
    case .transport(let code, let isRemote, let reason):
      return Self.describe("QUIC error 0x\(String(code, radix: 16))", isRemote, reason)
    case .application(let code, let isRemote, let reason):
      return Self.describe("closed with code \(code)", isRemote, reason)
    }
  }

  private static func describe(_ what: String, _ isRemote: Bool, _ reason: String) -> String {
    let origin = isRemote ? "\(what), reported by the peer" : what
    return reason.isEmpty ? origin : "\(origin): \(reason)"
  }
}

/// Why a stream operation did not happen.
public enum StreamError: Error, Equatable, Sendable {
  /// The peer abandoned its sending side with this application code (RFC 9000 §19.4).
  case reset(code: UInt64)
  /// The peer asked us to stop sending, with this application code (RFC 9000 §19.5).
  case stopped(code: UInt64)
  /// This side finished, reset or closed the stream already.
  case alreadyClosed
  /// The peer allows no further stream of this kind for now.
  case limitReached
  /// There was more to read than the caller wants.
  case tooLong
  /// The task was cancelled while it waited.
  case cancelled
  /// The whole connection is gone.
  case connectionLost(QuicError)
}

/// Why a datagram was not queued.
public enum DatagramError: Error, Equatable, Sendable {
  /// RFC 9221 allows it, but ngtcp2 1.11 aborts on it, so this side never sends one.
  case empty
  /// Larger than what one packet on the current path, or the peer, takes: the most it takes.
  case tooLarge(max: Int)
  /// The peer did not negotiate DATAGRAM frames.
  case unsupported
  case connectionLost(QuicError)
}
