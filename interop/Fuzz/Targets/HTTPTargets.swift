import QuicTransport
import Simulation

@testable import Tunnel

extension FuzzTarget {
  /// HTTP in both of its forms, and what is made of one for the other.
  static let http = [
    FuzzTarget(name: "http3-request", family: .http3, run: http3Request),
    FuzzTarget(name: "http3-answer", family: .http3, run: http3Answer),
    FuzzTarget(name: "http3-session", family: .http3Session, run: http3Session),
    FuzzTarget(name: "alt-svc", family: .heads, run: altSvc),
    FuzzTarget(name: "lenient-head", family: .heads, run: lenientHead),
    FuzzTarget(name: "folder", family: .heads, run: folder),
  ]

  /// Whatever the fields are: what goes on is one request, for the host that was judged, of the length
  /// that was judged, in the eyes of a strict reader.
  private static func http3Request(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let hasBody = input.byte() & 1 == 1
    var fields: [HTTP3Field] = []
    while !input.isEmpty, fields.count < 64 {
      let choice = Int(input.byte())
      let name =
        choice < fieldNames.count
        ? fieldNames[choice] : String(decoding: input.bytes(choice & 0x0f), as: UTF8.self)
      fields.append(HTTP3Field(name, input.bytes(Int(input.byte()))))
    }
    guard let request = try? HTTP3Request(fields, hasBody: hasBody) else { return }
    guard case .head(let head, let count) = HTTPHead.read(request.head, sizeMax: HostReader.headMax)
    else { return require(false, "a request that nobody can read") }
    require(count == request.head.count, "a request with something behind it")
    require(HostReader.host(of: head) == .success(request.host), "another host")
    let framing = BodyFraming.ofRequest(
      codings: head.members(of: "transfer-encoding"),
      lengths: head.values(of: "content-length").map { String(decoding: $0, as: UTF8.self) },
      minorVersion: head.minorVersion)
    require(framing == request.framing, "another length")
    require(hasBody || framing == .length(0), "a body that does not come is awaited")
    require(head.values(of: "upgrade").isEmpty, "an upgrade")
  }

  private static let fieldNames = [
    ":method", ":scheme", ":authority", ":path", ":protocol", "host", "content-length", "cookie",
    "te", "transfer-encoding", "connection", "accept", "upgrade", "trailer", "expect",
  ]

  /// The answer to a request, in pieces and at once: the same fields and the same body, and no bytes
  /// that a field may not have.
  private static func http3Answer(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let choice = input.byte()
    let method = choice & 1 == 1 ? "HEAD" : "GET"
    let stream = input.remainder()
    let whole = translated(stream, method, step: max(1, stream.count))
    let pieces = translated(stream, method, step: 1 + Int(choice >> 1))
    require(whole == pieces, "pieces change the answer")
  }

  /// An answer as it comes out.
  private struct Translation: Equatable {
    var heads: [[HTTP3Field]] = []
    var body: [UInt8] = []
    var hasEnded = false
    var isMalformed = false
  }

  private static func translated(_ stream: [UInt8], _ method: String, step: Int) -> Translation {
    var translator = AnswerTranslator(method: method)
    var found = Translation()
    func take(_ piece: AnswerTranslator.Piece) {
      require(!found.hasEnded && !found.isMalformed, "something behind the end")
      switch piece {
      case .information(let fields): found.heads.append(fields)
      case .fields(let fields, let isLast):
        found.heads.append(fields)
        found.hasEnded = isLast
      case .data(let bytes):
        require(!bytes.isEmpty, "a piece of nothing")
        found.body += bytes
      case .end: found.hasEnded = true
      case .malformed: found.isMalformed = true
      }
    }
    for start in stride(from: 0, to: stream.count, by: step) {
      stream[start..<min(start + step, stream.count)].withUnsafeBytes { translator.read($0, take) }
    }
    translator.finish(take)
    require(found.hasEnded != found.isMalformed, "an answer without an end")
    require(found.body.count <= stream.count, "a body longer than its stream")
    for field in found.heads.joined() {
      let name = field.name.hasPrefix(":") ? String(field.name.dropFirst()) : field.name
      require(FieldRules.isName(name.utf8), "a name that is none")
      require(FieldRules.isValue(field.value), "a value with control characters")
      require(!FieldRules.connectionSpecific.contains(name), "a field of the connection")
    }
    return found
  }

  /// A client that knows no rules, at a server of HTTP/3: an error or an answer, never more held than
  /// came.
  private static func http3Session(_ bytes: UnsafeRawBufferPointer) {
    guard let world = try? FuzzWorld() else { return require(false, "no world") }
    defer { world.end() }
    guard let connected = try? world.connect(), let connection = connected.server.connection,
      let client = connected.client.connection
    else { return require(false, "no connection on a network without faults") }
    connected.client.checksBytes = false
    let server = HTTP3Answerer(connection)
    var input = FuzzInput(bytes)
    var streams: [StreamCore] = []
    var steps = 0
    while !input.isEmpty, steps < 64 {
      steps += 1
      let action = input.byte()
      switch action & 7 {
      case 0, 1:
        if let stream = try? client.openStream(unidirectional: action & 1 == 1) {
          streams.append(stream)
        }
      case 2, 3, 4:
        guard !streams.isEmpty else { continue }
        try? streams[Int(action >> 3) % streams.count].write(input.bytes(Int(input.byte())))
      case 5:
        guard !streams.isEmpty else { continue }
        streams[Int(action >> 3) % streams.count].finish()
      case 6:
        guard !streams.isEmpty else { continue }
        streams[Int(action >> 3) % streams.count].reset(code: UInt64(input.byte()))
      default:
        switch action >> 3 {
        case 0x1e: server.session.announceEnd()
        case 0x1f: server.session.refuseRequests()
        default: world.loop.run(for: .milliseconds(Int64(input.byte())))
        }
      }
    }
    world.loop.run(for: .seconds(1))
    require(server.fieldBytesMax <= HTTP3Session.fieldSectionMax, "fields without a bound")
  }

  /// Where a field goes in does not depend on the pieces, and nothing else changes.
  private static func altSvc(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first else { return }
    let stream = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    var whole = AnswerOpening()
    let place = whole.read(stream)
    var pieces = AnswerOpening()
    var offset = 0
    while offset < stream.count, !pieces.isPassed {
      let end = min(offset + 1 + Int(first), stream.count)
      offset += pieces.read(UnsafeRawBufferPointer(rebasing: stream[offset..<end]))
    }
    require(whole.isFound == pieces.isFound, "pieces change whether there is a place")
    require(!whole.isFound || place == offset, "pieces change the place")
    require(!whole.isFound || stream[place - 1] == 0x0a, "the place is within a line")
  }

  /// Heads that only pass by: pieces change nothing, and the end is that of an empty line.
  private static func lenientHead(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first else { return }
    let stream = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    var reader = LenientHeadReader()
    let whole = reader.read(stream)
    var again = LenientHeadReader()
    var offset = 0
    var result = LenientHeadReader.Outcome.needsMore
    while offset < stream.count, result == .needsMore {
      let end = min(offset + 1 + Int(first), stream.count)
      result = again.read(UnsafeRawBufferPointer(rebasing: stream[offset..<end]))
      if case .head(let head, let count) = result { result = .head(head, count: offset + count) }
      offset = end
    }
    require(whole == result, "pieces change a head")
    guard case .head(let head, let count) = whole else { return }
    require(stream[count - 1] == 0x0a, "a head without an end")
    require(head.fields.allSatisfy { !$0.bytes.contains(0x0a) }, "a line break within a field")
  }

  /// What is asked of a shared folder: a path that stays in it, and a range within the file.
  private static func folder(_ bytes: UnsafeRawBufferPointer) {
    guard case .head(let head, _) = HTTPHead.read(Array(bytes)) else { return }
    if let path = FolderPath(target: head.target) {
      for name in path.names {
        require(!name.isEmpty && !name.hasPrefix("."), "a hidden name")
        require(!name.utf8.contains { $0 == 0x2f || $0 == 0x5c || $0 == 0 }, "two names in one")
      }
      require(FolderPath(target: path.folderURL)?.names == path.names, "a URL of another folder")
    }
    for size in [0, 1, 10, UInt64.max] {
      if case .part(let range) = ByteRange.wanted(by: head, size: size, tag: "\"t\"") {
        require(!range.isEmpty && range.upperBound <= size, "a range outside of the file")
      }
    }
  }
}

/// A server of HTTP/3 that answers every request at once.
private final class HTTP3Answerer: ConnectionDelegate, StreamDelegate {
  let session: HTTP3Session
  private(set) var fieldBytesMax = 0

  init(_ connection: ConnectionCore) {
    session = HTTP3Session(connection)
    connection.delegate = self
    session.start(delegate: self)
  }

  func connectionReady(_ connection: ConnectionCore) {}
  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    stream.delegate = self
    session.opened(stream)
  }
  func connectionAllowsStreams(_ connection: ConnectionCore) {}
  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}
  func connection(_ connection: ConnectionCore, closed error: QuicError) {}

  func streamReadable(_ stream: StreamCore) {
    session.readable(stream) { event in
      switch event {
      case .fields(let id, let fields, _):
        fieldBytesMax = max(
          fieldBytesMax, fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.count })
        if id == stream.id {
          session.submitResponse(on: stream, [HTTP3Field(":status", "200")], body: nil)
        }
      case .oversized: session.abandon(stream, .excessiveLoad)
      case .data, .end, .refused, .stopSending, .resetStream: break
      }
    }
  }

  func streamWritable(_ stream: StreamCore) { session.writable(stream) }
  func streamReset(_ stream: StreamCore, code: UInt64) { session.reset(stream) }
  func streamStopped(_ stream: StreamCore, code: UInt64) { session.stopped(stream) }
  func streamClosed(_ stream: StreamCore, error: QuicError?) { session.closed(stream) }
}
