internal import CNgtcp2

extension HTTP3Session {
  private static func from(_ userData: UnsafeMutableRawPointer?) -> HTTP3Session {
    // SAFETY: `start` handed out the session itself, which owns the nghttp3_conn that is calling.
    Unmanaged<HTTP3Session>.fromOpaque(userData.unsafelyUnwrapped).takeUnretainedValue()
  }

  /// The functions that nghttp3 calls; they translate and append, nothing else. Trailers have none:
  /// they are dropped (RFC 9110 §6.5.1).
  static var callbacks: nghttp3_callbacks {
    var table = nghttp3_callbacks()
    table.begin_headers = { _, id, userData, _ in
      let session = HTTP3Session.from(userData)
      session.endSection(id)
      session.sections[id] = FieldSection()
      return 0
    }
    table.recv_header = { _, id, _, nameBuffer, valueBuffer, _, userData, _ in
      guard let nameBuffer, let valueBuffer else { return 0 }
      let name = nghttp3_rcbuf_get_buf(nameBuffer)
      let value = nghttp3_rcbuf_get_buf(valueBuffer)
      let session = HTTP3Session.from(userData)
      guard var section = session.sections.removeValue(forKey: id) else { return 0 }
      session.sectionBytes -= section.bytesHeld
      section.append(
        name: UnsafeBufferPointer(start: name.base, count: name.len),
        value: UnsafeBufferPointer(start: value.base, count: value.len))
      session.sectionBytes += section.bytesHeld
      session.sections[id] = section
      return 0
    }
    table.end_headers = { _, id, fin, userData, _ in
      let session = HTTP3Session.from(userData)
      guard let section = session.endSection(id) else { return 0 }
      session.events.append(
        section.isOversized
          ? .oversized(StreamID(number: id))
          : .fields(StreamID(number: id), section.fields, isLast: fin != 0))
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
    table.shutdown = { _, id, userData in
      HTTP3Session.from(userData).events.append(.refused(from: StreamID(number: id)))
      return 0
    }
    return table
  }

  /// Lends the next block of a body.
  ///
  /// There is one block. Whoever asks while another stream's bytes, or its own, are still in it, is asked
  /// again once `write` has copied them, which is before `flush` returns.
  static var readBody: nghttp3_read_data_callback {
    { _, id, vectors, _, flags, userData, _ in
      let session = HTTP3Session.from(userData)
      guard let body = session.bodies[id], let vectors, let flags else {
        return nghttp3_ssize(NGHTTP3_ERR_CALLBACK_FAILURE)
      }
      guard session.blockOwner == nil else {
        session.blockSeekers.insert(id)
        return nghttp3_ssize(NGHTTP3_ERR_WOULDBLOCK)
      }
      // nghttp3 1.8 asks a blocked stream all the same once it is resumed; `writable` asks again.
      session.bodyWasEmpty = true
      guard session.hasRoom(id) else { return nghttp3_ssize(NGHTTP3_ERR_WOULDBLOCK) }
      switch body.read(into: session.block) {
      case .failed: return nghttp3_ssize(NGHTTP3_ERR_CALLBACK_FAILURE)
      case .blocked: return nghttp3_ssize(NGHTTP3_ERR_WOULDBLOCK)
      case .bytes(let count, let isLast):
        if isLast || count > 0 { session.bodyWasEmpty = false }
        if isLast { flags.pointee |= UInt32(NGHTTP3_DATA_FLAG_EOF) }
        guard count > 0 else { return isLast ? 0 : nghttp3_ssize(NGHTTP3_ERR_WOULDBLOCK) }
        session.blockOwner = id
        let base = session.block.baseAddress?.assumingMemoryBound(to: UInt8.self)
        vectors.pointee = nghttp3_vec(base: base, len: count)
        return 1
      }
    }
  }
}

/// The fields of one message while they come in. A hostile peer's few bytes can stand for many
/// (RFC 9204 §7.1), so what is beyond the bound is counted and not kept.
struct FieldSection {
  private(set) var fields: [HTTP3Field] = []
  private var size = 0

  /// What is kept of it, as RFC 9114 §4.2.2 counts.
  var bytesHeld: Int { isOversized ? 0 : size }

  /// More came than RFC 9114 §4.2.2 lets a reader refuse.
  var isOversized: Bool { size > HTTP3Session.fieldSectionMax }

  mutating func append(name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>) {
    size += name.count + value.count + Self.overhead
    guard !isOversized else { return fields = [] }
    fields.append(HTTP3Field(String(decoding: name, as: UTF8.self), Array(value)))
  }

  /// RFC 9114 §4.2.2
  private static let overhead = 32
}
