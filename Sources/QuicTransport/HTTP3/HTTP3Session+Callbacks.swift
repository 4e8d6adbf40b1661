import CNgtcp2
import QuicTransport

extension HTTP3Session {
  private static func from(_ userData: UnsafeMutableRawPointer?) -> HTTP3Session {
    // SAFETY: `start` handed out the session itself, which owns the nghttp3_conn that is calling.
    Unmanaged<HTTP3Session>.fromOpaque(userData.unsafelyUnwrapped).takeUnretainedValue()
  }

  /// The functions that nghttp3 calls; they translate and append, nothing else.
  static let callbacks: nghttp3_callbacks = {
    var table = nghttp3_callbacks()
    table.recv_header = { _, id, _, name, value, _, userData, _ in
      let event = Event.field(
        StreamID(number: id), name: HTTP3Session.text(name), value: HTTP3Session.text(value))
      HTTP3Session.from(userData).events.append(event)
      return 0
    }
    table.end_headers = { _, id, _, userData, _ in
      HTTP3Session.from(userData).events.append(.endOfFields(StreamID(number: id)))
      return 0
    }
    table.recv_data = { _, id, data, count, userData, _ in
      let bytes = Array(UnsafeBufferPointer(start: data, count: count))
      HTTP3Session.from(userData).events.append(.data(StreamID(number: id), bytes))
      return 0
    }
    table.end_stream = { _, id, userData, _ in
      HTTP3Session.from(userData).events.append(.end(StreamID(number: id)))
      return 0
    }
    table.stop_sending = { _, id, code, userData, _ in
      HTTP3Session.from(userData).events.append(.stopSending(StreamID(number: id), code: code))
      return 0
    }
    table.reset_stream = { _, id, code, userData, _ in
      HTTP3Session.from(userData).events.append(.resetStream(StreamID(number: id), code: code))
      return 0
    }
    return table
  }()

  /// Lends the next block of a body.
  ///
  /// There is one block, which `write` has emptied before nghttp3 is asked for the next vectors;
  /// within one call nghttp3 asks one body, once.
  static let readBody: nghttp3_read_data_callback = {
    _, id, vectors, _, flags, userData, _ in
    let session = HTTP3Session.from(userData)
    guard let body = session.bodies[id], let vectors, let flags, !session.isBlockInUse else {
      return nghttp3_ssize(NGHTTP3_ERR_CALLBACK_FAILURE)
    }
    let count = body.remaining > 0 ? body.read(into: session.block) : 0
    if body.remaining == 0 { flags.pointee |= UInt32(NGHTTP3_DATA_FLAG_EOF) }
    // The file became shorter than its announced length.
    if count == 0, body.remaining > 0 { return nghttp3_ssize(NGHTTP3_ERR_CALLBACK_FAILURE) }
    guard count > 0 else { return 0 }
    session.isBlockInUse = true
    let base = session.block.baseAddress?.assumingMemoryBound(to: UInt8.self)
    vectors.pointee = nghttp3_vec(base: base, len: count)
    return 1
  }

  private static func text(_ buffer: OpaquePointer?) -> String {
    guard let buffer else { return "" }
    let bytes = nghttp3_rcbuf_get_buf(buffer)
    return String(decoding: UnsafeBufferPointer(start: bytes.base, count: bytes.len), as: UTF8.self)
  }
}
