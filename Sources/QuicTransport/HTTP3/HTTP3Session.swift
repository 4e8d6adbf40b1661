internal import CNgtcp2

/// HTTP/3 on one connection: the owner of one `nghttp3_conn` (RFC 9114). On the loop.
///
/// The owner is the delegate of the connection and its streams, and passes on what it hears; what
/// nghttp3 finds in the streams comes out of `readable`. Bytes go to and from QUIC streams at once, so
/// nghttp3 holds no more than what one stream was given last. What the peer's QPACK encoder may refer to
/// is empty, which is nghttp3's default: no stream that comes in ever waits for another.
public final class HTTP3Session {
  private var handle: OpaquePointer?
  private let connection: ConnectionCore
  var events: [Event] = []
  /// Our streams by number: nghttp3 names the stream that it wants to write to.
  private var streams: [Int64: StreamCore] = [:]
  /// Answers under way, by stream.
  var bodies: [Int64: any HTTP3Body] = [:]
  /// Messages whose fields are coming in, by stream, and what all of these hold.
  var sections: [Int64: FieldSection] = [:]
  var sectionBytes = 0
  /// The streams whose priority the peer may tell ahead (RFC 9218 §7.1): nghttp3 keeps a stream for each.
  private var streamsAllowed: UInt64 = 0
  /// Streams whose end nghttp3 was told of.
  private var ended: Set<Int64> = []
  /// What a body is read into on its way to the stream; the stream whose bytes it has, which nghttp3 may
  /// put behind others (its QPACK encoder's, before all); and those that want it meanwhile.
  let block = UnsafeMutableRawBufferPointer.allocate(
    byteCount: HTTP3Session.blockBytes, alignment: 64)
  var blockOwner: Int64?
  var blockSeekers: Set<Int64> = []
  /// A body had nothing, or no room, when nghttp3 asked for it.
  var bodyWasEmpty = false
  private let vectors = UnsafeMutableBufferPointer<nghttp3_vec>.allocate(
    capacity: HTTP3Session.vectorsMax)
  /// What a server has said of its end. nghttp3 aborts where it is said again.
  private var farewell = Farewell.none
  /// nghttp3 reported an error; only freeing it is allowed.
  private var hasFailed = false

  /// For a connection that is ready; `start` begins.
  public init(_ connection: ConnectionCore) {
    self.connection = connection
  }

  deinit {
    if let handle { nghttp3_conn_del(handle) }
    block.deallocate()
    vectors.deallocate()
  }

  // MARK: Setting up

  /// Opens the control stream and the two QPACK streams (RFC 9114 §6.2); their delegate is
  /// `delegate`.
  public func start(delegate: any StreamDelegate) {
    var settings = nghttp3_settings()
    qtun_http3_settings_default(&settings)
    settings.max_field_section_size = UInt64(Self.fieldSectionMax)
    var callbacks = Self.callbacks
    let owner = Unmanaged.passUnretained(self).toOpaque()
    let result =
      connection.isServer
      ? qtun_http3_server_new(&handle, &callbacks, &settings, owner)
      : qtun_http3_client_new(&handle, &callbacks, &settings, owner)
    guard result == 0, let handle else { return fail(result) }
    allowStreams(upTo: 0)
    guard let control = openStream(delegate), let encoder = openStream(delegate),
      let decoder = openStream(delegate)
    else { return fail(NGHTTP3_ERR_H3_STREAM_CREATION_ERROR) }
    check(nghttp3_conn_bind_control_stream(handle, control))
    check(nghttp3_conn_bind_qpack_streams(handle, encoder, decoder))
    flush()
  }

  /// The peer has opened so many: QUIC lets it have no more ahead of those that are over.
  private func allowStreams(upTo opened: UInt64) {
    guard connection.isServer, let handle = live else { return }
    let allowed = opened + UInt64(connection.settings.bidirectionalStreamsMax)
    guard allowed > streamsAllowed else { return }
    streamsAllowed = allowed
    nghttp3_conn_set_max_client_streams_bidi(handle, allowed)
  }

  private func openStream(_ delegate: any StreamDelegate) -> Int64? {
    guard let stream = try? connection.openStream(unidirectional: true) else { return nil }
    stream.delegate = delegate
    streams[stream.id.number] = stream
    return stream.id.number
  }

  // MARK: Messages

  /// Sends a request on a fresh stream, with or without a body.
  public func submitRequest(
    on stream: StreamCore, _ fields: [HTTP3Field], body: (any HTTP3Body)?
  ) {
    guard let handle = live else { return }
    streams[stream.id.number] = stream
    bodies[stream.id.number] = body
    var reader = nghttp3_data_reader(read_data: Self.readBody)
    check(
      Self.withFields(fields) { fields in
        body == nil
          ? nghttp3_conn_submit_request(
            handle, stream.id.number, fields.baseAddress, fields.count, nil, nil)
          : nghttp3_conn_submit_request(
            handle, stream.id.number, fields.baseAddress, fields.count, &reader, nil)
      })
    flush()
  }

  /// Announces the answer to a request (RFC 9110 §15.2).
  public func submitInformation(on stream: StreamCore, _ fields: [HTTP3Field]) {
    guard let handle = live, streams[stream.id.number] != nil else { return }
    check(
      Self.withFields(fields) { fields in
        nghttp3_conn_submit_info(handle, stream.id.number, fields.baseAddress, fields.count)
      })
    flush()
  }

  /// Answers a request, with or without a body.
  public func submitResponse(
    on stream: StreamCore, _ fields: [HTTP3Field], body: (any HTTP3Body)?
  ) {
    guard let handle = live, streams[stream.id.number] != nil else { return }
    bodies[stream.id.number] = body
    var reader = nghttp3_data_reader(read_data: Self.readBody)
    check(
      Self.withFields(fields) { fields in
        body == nil
          ? nghttp3_conn_submit_response(
            handle, stream.id.number, fields.baseAddress, fields.count, nil)
          : nghttp3_conn_submit_response(
            handle, stream.id.number, fields.baseAddress, fields.count, &reader)
      })
    flush()
  }

  /// The body of an answer has something again.
  public func resume(_ stream: StreamCore) {
    guard let handle = live, bodies[stream.id.number] != nil else { return }
    check(nghttp3_conn_resume_stream(handle, stream.id.number))
    flush()
  }

  /// Gives up both directions of a request (RFC 9114 §4.1.1).
  public func abandon(_ stream: StreamCore, _ code: HTTP3Code) {
    forget(stream)
    stream.reset(code: code.rawValue)
    stream.stopReceiving(code: code.rawValue)
  }

  /// Reads no more of a request that is answered (RFC 9114 §4.1).
  public func stopReading(_ stream: StreamCore) {
    guard !ended.contains(stream.id.number) else { return }
    if let handle = live { check(nghttp3_conn_shutdown_stream_read(handle, stream.id.number)) }
    ended.insert(stream.id.number)
    stream.stopReceiving(code: HTTP3Code.noError.rawValue)
  }

  /// Whether the stream takes bytes now; where it does not, `writable` will be called.
  public func hasRoom(_ stream: StreamCore) -> Bool { hasRoom(stream.id.number) }

  func hasRoom(_ id: Int64) -> Bool { streams[id].map { $0.sendCapacity > 0 } ?? true }

  /// The fields that come on a stream are whole, or will not be.
  @discardableResult
  func endSection(_ id: Int64) -> FieldSection? {
    guard let section = sections.removeValue(forKey: id) else { return nil }
    sectionBytes -= section.bytesHeld
    return section
  }

  private func forget(_ stream: StreamCore) {
    bodies[stream.id.number] = nil
    endSection(stream.id.number)
    ended.insert(stream.id.number)
    guard let handle = live else { return }
    nghttp3_conn_shutdown_stream_write(handle, stream.id.number)
    check(nghttp3_conn_shutdown_stream_read(handle, stream.id.number))
  }

  /// A server's advice to send further requests on another connection (GOAWAY, RFC 9114 §5.2); those that
  /// come all the same are taken.
  public func announceEnd() {
    guard let handle = live, connection.isServer, farewell == .none else { return }
    farewell = .announced
    check(nghttp3_conn_submit_shutdown_notice(handle))
    flush()
  }

  /// A server takes no request any more that has not come yet, and says so: whoever sent it may send it
  /// again elsewhere, whatever it is (RFC 9114 §5.2). Those that have come go on.
  public func refuseRequests() {
    guard let handle = live, connection.isServer, farewell != .final else { return }
    farewell = .final
    check(nghttp3_conn_shutdown(handle))
    flush()
  }

  /// Closes with an HTTP/3 code, H3_NO_ERROR for the normal end. A server says before which requests it
  /// has not seen.
  public func close() {
    refuseRequests()
    connection.close(code: HTTP3Code.noError.rawValue, reason: "")
  }

  // MARK: From the connection

  /// The peer opened a stream.
  public func opened(_ stream: StreamCore) {
    streams[stream.id.number] = stream
    guard !stream.id.isUnidirectional else { return }
    allowStreams(upTo: UInt64(stream.id.number / 4) + 1)
    // It would not know of one that is reset before its first byte, and keep what is told of its priority.
    guard connection.isServer else { return }
    feed(UnsafeRawBufferPointer(start: nil, count: 0), of: stream, fin: false)
    // All that comes of nothing is a refusal.
    deliver { _ in }
  }

  /// Gives nghttp3 what `stream` has to read, handing each event to `body`.
  ///
  /// - Parameter mayRead: asked before each piece. What stays in the stream takes none of the peer's
  ///   credit back: this is the back-pressure. Call again when there is room.
  public func readable(
    _ stream: StreamCore, while mayRead: () -> Bool = { true }, _ body: (Event) -> Void
  ) {
    while stream.readableCount > 0, mayRead() {
      // One piece at a time, so that its events are handled before more accumulates.
      let count = stream.withReadablePieces(limit: 1) { pieces in
        guard let piece = pieces.first else { return 0 }
        // With its end, so that a message without a body is known for one.
        let isLast = stream.receivedFin && piece.count == stream.readableCount
        if isLast { ended.insert(stream.id.number) }
        feed(piece, of: stream, fin: isLast)
        return piece.count
      }
      stream.consume(count)
      deliver(body)
    }
    if stream.isAtEnd, ended.insert(stream.id.number).inserted {
      feed(UnsafeRawBufferPointer(start: nil, count: 0), of: stream, fin: true)
      deliver(body)
    }
    flush()
  }

  /// `stream` has room again.
  public func writable(_ stream: StreamCore) {
    guard let handle = live else { return }
    check(nghttp3_conn_unblock_stream(handle, stream.id.number))
    check(nghttp3_conn_resume_stream(handle, stream.id.number))
    flush()
  }

  /// The peer no longer reads `stream`.
  public func stopped(_ stream: StreamCore) {
    guard let handle = live else { return }
    // RFC 9114 §6.2.1: the control stream, and QPACK's two, stay open.
    if stream.id.isUnidirectional { return fail(NGHTTP3_ERR_H3_CLOSED_CRITICAL_STREAM) }
    nghttp3_conn_shutdown_stream_write(handle, stream.id.number)
  }

  /// The peer abandoned what it was sending.
  public func reset(_ stream: StreamCore) {
    guard let handle = live else { return }
    check(nghttp3_conn_shutdown_stream_read(handle, stream.id.number))
  }

  /// `stream` is gone.
  public func closed(_ stream: StreamCore) {
    streams[stream.id.number] = nil
    bodies[stream.id.number] = nil
    endSection(stream.id.number)
    ended.remove(stream.id.number)
    guard let handle = live else { return }
    let result = nghttp3_conn_close_stream(
      handle, stream.id.number, UInt64(NGHTTP3_H3_NO_ERROR))
    if result != NGHTTP3_ERR_STREAM_NOT_FOUND { check(result) }
  }

  /// What nghttp3 found in the streams.
  public enum Event: Equatable, Sendable {
    /// The fields of a message, before its body; with `isLast` it is known to have none.
    case fields(StreamID, [HTTP3Field], isLast: Bool)
    /// A message with more fields than we take, which are not told.
    case oversized(StreamID)
    /// Some of a body.
    case data(StreamID, [UInt8])
    /// The end of a message.
    case end(StreamID)
    /// The peer sees no request from this one on.
    case refused(from: StreamID)
    /// The session saw to these two itself.
    case stopSending(StreamID, code: UInt64)
    case resetStream(StreamID, code: UInt64)
  }

  private enum Farewell { case none, announced, final }

  /// The longest fields of a message, as RFC 9114 §4.2.2 counts them; a browser's are a tenth of it.
  public static let fieldSectionMax = 32 * 1024
  /// What all messages of a connection may hold whose fields are not whole: those of a browser that sends a
  /// hundred requests in turns.
  static let sectionBytesMax = 8 * fieldSectionMax
  private static let blockBytes = 64 * 1024
}

// MARK: - Working

extension HTTP3Session {
  private var live: OpaquePointer? { hasFailed ? nil : handle }

  private func check(_ result: Int32) {
    if result != 0 { fail(result) }
  }

  private func fail(_ code: Int32) {
    fail(
      code: nghttp3_err_infer_quic_app_error_code(code),
      String(cString: nghttp3_strerror(code)))
  }

  private func fail(_ code: HTTP3Code, _ reason: String) {
    fail(code: code.rawValue, reason)
  }

  private func fail(code: UInt64, _ reason: String) {
    guard !hasFailed else { return }
    hasFailed = true
    connection.close(code: code, reason: reason)
  }

  /// Gives nghttp3 some bytes of `stream`, the last ones with `fin`.
  private func feed(_ bytes: UnsafeRawBufferPointer, of stream: StreamCore, fin: Bool) {
    guard let handle = live else { return }
    let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let result = nghttp3_conn_read_stream(
      handle, stream.id.number, base, bytes.count, fin ? 1 : 0)
    if result < 0 { fail(Int32(clamping: result)) }
    if sectionBytes > Self.sectionBytesMax { fail(.excessiveLoad, "too many unfinished messages") }
  }

  private func deliver(_ body: (Event) -> Void) {
    let events = self.events
    self.events.removeAll(keepingCapacity: true)
    for event in events {
      switch event {
      case .stopSending(let id, let code): streams[id.number]?.stopReceiving(code: code)
      case .resetStream(let id, let code): streams[id.number]?.reset(code: code)
      default: body(event)
      }
    }
  }

  /// Moves what nghttp3 has to send into the streams, as far as they have room.
  private func flush() {
    while let handle = live {
      var id: Int64 = -1
      var fin: Int32 = 0
      let count = nghttp3_conn_writev_stream(handle, &id, &fin, vectors.baseAddress, vectors.count)
      guard count >= 0 else { return fail(Int32(clamping: count)) }
      guard id >= 0 else {
        // The first stream had nothing; others may.
        guard bodyWasEmpty else { return }
        bodyWasEmpty = false
        continue
      }
      guard let stream = streams[id] else {
        nghttp3_conn_shutdown_stream_write(handle, id)
        releaseBlock(of: id, handle)
        continue
      }
      write(UnsafeBufferPointer(rebasing: vectors[..<count]), fin: fin != 0, to: stream, handle)
    }
  }

  private func write(
    _ vectors: UnsafeBufferPointer<nghttp3_vec>, fin: Bool, to stream: StreamCore,
    _ handle: OpaquePointer
  ) {
    let id = stream.id.number
    var total = 0
    for vector in vectors {
      do {
        try stream.write(UnsafeRawBufferPointer(start: vector.base, count: vector.len))
      } catch {
        nghttp3_conn_shutdown_stream_write(handle, id)
        return releaseBlock(of: id, handle)
      }
      total += vector.len
    }
    check(nghttp3_conn_add_write_offset(handle, id, total))
    // The stream has a copy: as far as nghttp3 is concerned, the bytes have arrived.
    check(nghttp3_conn_add_ack_offset(handle, id, UInt64(total)))
    let base = block.baseAddress?.assumingMemoryBound(to: UInt8.self)
    if vectors.contains(where: { $0.base == base }) { releaseBlock(of: id, handle) }
    if fin {
      bodies[id] = nil
      stream.finish()
    } else if stream.sendCapacity == 0, blockOwner != id {
      nghttp3_conn_block_stream(handle, id)
    }
  }

  /// The bytes of the stream in the block have been copied, or will not be sent.
  private func releaseBlock(of id: Int64, _ handle: OpaquePointer) {
    guard blockOwner == id else { return }
    blockOwner = nil
    for seeker in blockSeekers { check(nghttp3_conn_resume_stream(handle, seeker)) }
    blockSeekers = []
  }

  private static func withFields<Result>(
    _ fields: [HTTP3Field], _ body: (UnsafeBufferPointer<nghttp3_nv>) -> Result
  ) -> Result {
    var text: [UInt8] = []
    for field in fields { text += Array(field.name.utf8) + field.value }
    return text.withUnsafeBufferPointer { text in
      var offset = 0
      func piece(_ count: Int) -> UnsafePointer<UInt8>? {
        defer { offset += count }
        return text.baseAddress.map { $0 + offset }
      }
      // SAFETY: nghttp3 copies names and values unless a flag tells it not to.
      let vector = fields.map { field in
        nghttp3_nv(
          name: piece(field.name.utf8.count), value: piece(field.value.count),
          namelen: field.name.utf8.count, valuelen: field.value.count,
          flags: UInt8(NGHTTP3_NV_FLAG_NONE))
      }
      return vector.withUnsafeBufferPointer(body)
    }
  }

  private static let vectorsMax = 8
}
