/// Keeps forged first answers from stopping a client's handshake.
///
/// Whoever sees a client's first packet can make an Initial that decrypts (RFC 9001 §5.2). ngtcp2 1.11
/// takes the server's connection ID from the first one of these before it looks at the frames, and
/// where the frames are wrong it drops the packet, but keeps the ID: whatever the server itself sends
/// is dropped then, up to the handshake's timeout. RFC 9000 §5.2 wants an error or no trace at all.
///
///     waiting --Initial that is wrong--> waiting (no trace)
///        '--Initial--> answered --another's, twice, and no TLS for a second--> given up
///                          '--TLS under Handshake keys--> over
///
/// Another's is one with another source, and nothing proves that: it takes two of the same source, or a
/// byte that was spoilt on the way would do. A server repeats its Initial until somebody answers.
struct FirstAnswerGuard {
  private var state = State.waiting

  private enum State {
    case waiting
    case answered
    case suspected(ConnectionID)
    case disputed(since: Instant)
    case over
  }

  /// An Initial packet with this payload was decrypted by a client that has sent so many packets:
  /// whether ngtcp2 shall see it.
  mutating func admits(_ payload: UnsafeRawBufferPointer, packetsSent: UInt64) -> Bool {
    guard InitialPayload.isSound(payload, packetsSent: packetsSent) else { return false }
    if case .waiting = state { state = .answered }
    return true
  }

  /// An Initial packet names `source`, which is not the server whose answer was taken.
  mutating func noteAnother(_ source: ConnectionID, now: Instant) {
    switch state {
    case .suspected(source): state = .disputed(since: now)
    case .answered, .suspected: state = .suspected(source)
    case .waiting, .disputed, .over: break
    }
  }

  /// The handshake goes on, under keys that nobody can derive from what went over the wire.
  mutating func noteProgress() {
    state = .over
  }

  /// When to begin anew: one of two answers was forged, and it seems to be the one that was taken.
  var deadline: Instant {
    if case .disputed(let since) = state { since + Self.patience } else { .distantFuture }
  }

  /// Several round trips of most paths, in which the rest of an honest server's flight arrives, also
  /// when some of it was lost.
  private static let patience = Duration.seconds(1)
}

/// The frames of a server's Initial packet.
enum InitialPayload {
  /// Whether they are such as RFC 9000 §12.4 allows there, and acknowledge nothing that was not sent.
  static func isSound(_ payload: UnsafeRawBufferPointer, packetsSent: UInt64) -> Bool {
    var cursor = FrameCursor(rest: payload[...])
    while let type = cursor.integer() {
      switch type {
      case 0x00: cursor.skipPadding()
      case 0x01: break
      case 0x02, 0x03:
        // Each packet was a datagram of its own; their numbers begin at 0.
        guard let largest = cursor.acknowledgement(hasCounts: type == 0x03),
          largest < packetsSent
        else { return false }
      case 0x06:
        guard let offset = cursor.integer(), offset <= helloMax, cursor.skipCounted() else {
          return false
        }
      // CONNECTION_CLOSE: nothing behind it matters.
      case 0x1c: return true
      default: return false
      }
    }
    return cursor.rest.isEmpty
  }

  /// Beyond what ngtcp2 keeps of bytes that come out of order, and what `CryptoGuard` takes in all.
  private static let helloMax: UInt64 = 128 * 1024
}
