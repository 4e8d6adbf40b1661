/// Walks the frames in the plaintext of a 1-RTT packet, before ngtcp2 does: counts them by what they
/// cost, and finds STOP_SENDING (RFC 9000 §19.5).
///
/// ngtcp2 1.11 answers that frame by itself and tells its application only when that next writes to
/// the stream, and never the code; a flow with nothing to send would not notice. (Its
/// `stream_stop_sending` callback is about frames that we send.)
enum FrameScanner {
  /// Calls `found` with the stream and the code of each STOP_SENDING, up to the first malformed frame;
  /// ngtcp2 closes the connection for that one.
  static func scan(
    _ payload: UnsafeRawBufferPointer, found: (StreamID, UInt64) -> Void
  ) -> FrameTally {
    var tally = FrameTally()
    var cursor = FrameCursor(rest: payload[...])
    while let type = cursor.integer() {
      tally.note(type)
      let count = cursor.rest.count
      if type == 0 {
        cursor.skipPadding()
      } else if type == stopSending {
        guard let id = cursor.integer(), let code = cursor.integer() else { return tally }
        found(StreamID(number: Int64(id)), code)
      } else if !cursor.skipBody(of: type) {
        tally.note(type, byteCount: count)
        return tally
      }
      tally.note(type, byteCount: count - cursor.rest.count)
    }
    return tally
  }

  private static let stopSending: UInt64 = 0x05
}
