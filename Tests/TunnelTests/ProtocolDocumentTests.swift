import QuicTransport
import Testing

@testable import Tunnel

/// docs/protocol.md is what other implementations are written from: it must say what we do.
@Suite("Protocol document")
struct ProtocolDocumentTests {
  @Test("every vector holds", arguments: try Document.load().vectors)
  func vector(vector: Vector) throws {
    switch vector.kind {
    case "varint": try checkVarint(vector)
    case "message": try checkMessage(vector)
    case "proof": try checkProof(vector)
    case "header": try checkHeader(vector)
    case "reverse-header": try checkReverseHeader(vector)
    case "ticket": try checkTicket(vector)
    case "grant": try checkGrant(vector)
    case "path": try checkPath(vector)
    case "probe": try checkProbe(vector)
    case "relayed": try checkRelayed(vector)
    case "forwarding": try checkForwarding(vector)
    case "relay": try checkRelay(vector)
    case "public": try checkPublic(vector)
    case "public-header": try checkPublicHeader(vector)
    case "find-token": try checkFindToken(vector)
    case "relay-token": try checkRelayToken(vector)
    case "go-ahead": #expect(try vector.bytes("hex") == [GoAhead.byte])
    case "datagram": try checkDatagram(vector)
    case "target": try checkTarget(vector)
    case "preface": #expect(try vector.bytes("hex") == FrameHeader.preface)
    case "frame": try checkFrame(vector)
    case "upgrade":
      let accept = WebSocketUpgrade.accept(try vector.text("key"))
      #expect(try accept == vector.text("accept"))
    case "websocket": try checkWebSocket(vector)
    default: Issue.record("no such kind of vector")
    }
  }

  @Test("there are vectors for everything that is encoded")
  func coverage() throws {
    let vectors = try Document.load().vectors
    #expect(
      Set(vectors.map(\.kind)) == [
        "varint", "message", "proof", "header", "ticket", "grant", "path", "probe", "relayed",
        "forwarding", "preface", "frame", "go-ahead", "datagram", "upgrade", "websocket",
        "reverse-header", "relay", "public", "public-header", "find-token", "relay-token", "target",
      ])
    let named = Set(vectors.compactMap { $0.fields["name"] })
    for message in ControlMessageTests.samples { #expect(named.contains(Self.name(of: message))) }
  }

  @Test("every control message is in the table, under its number")
  func messages() throws {
    let rows = try Document.load().rows
    for message in ControlMessageTests.samples {
      if case .unknown = message { continue }
      var reader = WireReader(message.encoded)
      let type = reader.varint() ?? 0
      let name = Self.name(of: message).uppercased()
      #expect(
        rows.contains { $0.starts(with: ["0x0\(String(type, radix: 16))", name]) }, "\(name)")
    }
  }

  @Test(
    "every error code is in a table under its number and name, and no other is",
    arguments: [
      ("Sources/Tunnel/Wire/TunnelCode.swift", "## Error codes"),
      ("Sources/Tunnel/Relay/RelayCode.swift", "## Rendezvous"),
    ])
  func codes(path: String, heading: String) throws {
    let source = try SourceFile.read(path)
    var declared: Set<[String]> = []
    for line in source.split(separator: "\n") {
      // static let name: UInt64 = 0x00
      let words = line.split(separator: " ")
      guard words.count == 6, words[0] == "static", words[1] == "let" else { continue }
      declared.insert([String(words[5]), String(words[2].dropLast())])
    }
    #expect(declared.count >= 13)
    let numbers = declared.map { $0[0] }
    #expect(Set(numbers).count == numbers.count)
    let documented = try Document.load().rows(under: heading)
    #expect(
      Set(documented.filter { $0[0].hasPrefix("0x") }.map { Array($0.prefix(2)) }) == declared)
  }

  @Test("every reason of a relay is in the table", arguments: RelayDenial.allCases)
  func reasons(denial: RelayDenial) throws {
    let rows = try Document.load().rows(under: "## Rendezvous")
    #expect(rows.contains(["\(denial.rawValue)", "\(denial)"]))
  }

  @Test(
    "the limits in the document are those in the code",
    arguments: [
      ("body of a control message", "\(ControlMessage.bodyMax) bytes"),
      ("services in a WELCOME", "\(ControlMessage.servicesMax)"),
      ("name of a service", "\(ControlMessage.nameMax) bytes"),
      ("addresses in a ticket", "\(Ticket.addressesMax)"),
      ("grant", "\(Grant.bytesMax) bytes"),
      ("listeners of a session", "\(ControlMessage.listenersMax)"),
      ("identities that use one grant", "\(Grant.usesMax)"),
      ("UDP flows of a session", "\(DatagramFlows.flowsMax)"),
      ("UDP targets that the dialer names, of a flow", "\(NamedDatagrams.targetsMax)"),
      ("UDP targets that the dialer names, of a session", "\(TargetAllowance.targetsMax)"),
      ("fragments of a datagram", "\(DatagramHeader.fragmentsMax)"),
      (
        "datagrams that are not whole yet",
        "\(Reassembler.datagramsMax), \(Reassembler.bytesMax) bytes, 1 second"
      ),
      ("head of an HTTP request or answer, of a carrier", "\(LenientHeadReader.bytesMax) bytes"),
      ("head or ClientHello of a relay's visitor", "\(HostReader.headMax) bytes"),
    ])
  func limits(what: String, limit: String) throws {
    #expect(try Document.load().rows(under: "## Limits").contains([what, limit]))
  }

  @Test("the limits that QUIC enforces for us are those in the document")
  func quicLimits() throws {
    let settings = TunnelWorld.sessionSettings.endpointSettings(
      identity: TunnelWorld.shareIdentity, acceptsConnections: true)
    let rows = try Document.load().rows(under: "## Limits")
    let streams = "\(settings.transport.bidirectionalStreamsMax) bidirectional"
    let ofListeners = TunnelWorld.sessionSettings.endpointSettings(
      identity: TunnelWorld.linkIdentity, acceptsConnections: false)
    let reverse = "\(ofListeners.transport.bidirectionalStreamsMax) "
    #expect(rows.contains { $0[0].hasPrefix("streams of listeners") && $0[1].hasPrefix(reverse) })
    let window = "\(settings.transport.streamWindowInitial) at first"
    #expect(rows.contains { $0[1].hasPrefix(streams) })
    let broken = "\(settings.transport.brokenStreamsPerSecond) a second"
    #expect(rows.contains(["streams that came to nothing, granted again", broken]))
    #expect(rows.contains { $0[1].hasPrefix(window) })
    #expect(settings.applicationProtocols == ["qtun/1"])
    #expect(!settings.usesSessionTickets)
  }

  // MARK: Kinds of vectors

  private func checkVarint(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let value = try vector.number("value")
    if vector.isEncoded {
      var writer = WireWriter()
      writer.varint(value)
      #expect(writer.bytes == bytes)
    }
    var reader = WireReader(bytes)
    #expect(reader.varint() == value)
    #expect(reader.count == 0)
  }

  private func checkMessage(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    var decoder = ControlDecoder()
    decoder.append(bytes)
    guard try vector.text("name") != "malformed" else {
      #expect(decoder.next() == .malformed)
      return
    }
    let message = try message(vector)
    if vector.isEncoded { #expect(message.encoded == bytes) }
    #expect(decoder.next() == .message(message))
    #expect(decoder.next() == .needsMore)
  }

  private func message(_ vector: Vector) throws -> ControlMessage {
    switch try vector.text("name") {
    case "hello":
      return .hello(
        ControlMessage.Hello(
          version: try vector.number("version"), capabilities: try vector.number("capabilities"),
          proof: try vector.bytes("proof"), grant: try vector.bytes("grant")))
    case "welcome":
      let services = try vector.text("services").split(separator: " ").map { service in
        let parts = service.split(separator: ":", omittingEmptySubsequences: false)
        let port = try #require(UInt16(parts[1]))
        let number = try #require(parts.count > 2 ? UInt8(parts[2]) : 0)
        return ControlMessage.Service(
          name: String(parts[0]), port: port, kind: ControlMessage.Service.Kind(number: number))
      }
      return .welcome(
        ControlMessage.Welcome(
          version: try vector.number("version"), capabilities: try vector.number("capabilities"),
          services: services))
    case "goodbye":
      return .goodbye(ControlMessage.Goodbye(reason: try vector.text("reason")))
    case "finished": return .finished
    case "listen", "listening", "unlisten": return try reverseMessage(vector)
    case "lost": return .lost(SessionID(number: try vector.number("session")))
    case "ping": return .ping(try vector.bytes("bytes"))
    case "pong": return .pong(try vector.bytes("bytes"))
    default:
      return .unknown(type: try vector.number("type"))
    }
  }

  private func checkProof(_ vector: Vector) throws {
    let capability = SecretBytes(try vector.bytes("capability"))
    let exported = try vector.bytes("exported")
    let expected = try vector.bytes("hex")
    #expect(CapabilityProof.make(capability: capability, exported: exported) == expected)
  }

  private func checkHeader(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    switch vector.fields["result"] {
    case "malformed": #expect(FlowHeader.decode(bytes) == .malformed)
    case "incomplete": #expect(FlowHeader.decode(bytes) == .needsMore)
    default:
      var header = FlowHeader(kind: .tcp, service: try vector.text("service"))
      if let words = vector.fields["destination"]?.split(separator: " ") {
        let port = try #require(UInt16(words[1]))
        header = FlowHeader(
          service: header.service, destination: Destination(host: String(words[0]), port: port))
      }
      if vector.isEncoded { #expect(header.encoded == bytes) }
      #expect(FlowHeader.decode(bytes) == .header(header, count: bytes.count))
    }
  }

  private func checkTicket(_ vector: Vector) throws {
    let content = try vector.bytes("hex")
    let text = try vector.text("text")
    let sealed = content + Crypto.sha256(content).prefix(4)
    #expect(text == "qtun1" + Base32.encode(sealed))
    let key = try vector.bytes("identity")
    let identity = try #require(PublicKey(key))
    let grant = try vector.fields["grant"].map { _ in try vector.bytes("grant") }
    let secret = SecretBytes(try vector.bytes(grant == nil ? "capability" : "root"))
    let port = UInt16(try vector.number("port"))
    let addresses = try vector.text("addresses").split(separator: ",").map { entry in
      let parts = entry.split(separator: " ")
      let port = try #require(UInt16(parts[1]))
      return try #require(SocketAddress(String(parts[0]), port: port))
    }
    var ticket = Ticket(
      identity: identity, capability: secret, port: port, addresses: addresses)
    ticket.rendezvous = try vector.fields["rendezvous"].map { [try rendezvous($0)] } ?? []
    if let grant { ticket = ticket.restricted(to: try #require(Grant(grant))) }
    #expect(ticket.text == text)
    let read = try Ticket(text)
    #expect(read.identity == identity && read.port == port && read.addresses == addresses)
    #expect(read.grant == ticket.grant && read.rendezvous == ticket.rendezvous)
    #expect(ticket.capability.withBytes { read.capability.matches($0) })
  }

  private func checkGrant(_ vector: Vector) throws {
    let id = try #require(UInt64(try vector.text("id"), radix: 16))
    // A name after each comma; `none` is no name at all.
    let names = try vector.text("services")
    let services =
      names == "none"
      ? [] : names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let grant = try #require(
      Grant(
        id: GrantID(number: id), expiry: try vector.number("expiry"),
        uses: try vector.number("uses"), services: services))
    let bytes = try vector.bytes("hex")
    #expect(grant.bytes == bytes)
    #expect(Grant(bytes) == grant)
    let root = SecretBytes(try vector.bytes("root"))
    let capability = Grant.capability(root: root, grant: bytes)
    try vector.bytes("capability").withUnsafeBytes { #expect(capability.matches($0)) }
  }

  private func checkPath(_ vector: Vector) throws {
    let key = SecretBytes(try vector.bytes("key"))
    let type = try #require(
      PathMessage.MessageType(rawValue: UInt8(try vector.number("type"))))
    let message = PathMessage(
      type: type, session: SessionID(number: try vector.number("session")),
      number: try vector.number("number"), argument: try vector.number("argument"))
    let bytes = try vector.bytes("hex")
    if vector.isEncoded { #expect(message.encoded(key: key) == bytes) }
    bytes.withUnsafeBytes { #expect(PathMessage($0, key: key) == message) }
  }

  private func checkFrame(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    var found: [[UInt8]] = []
    var decoder = FrameDecoder()
    bytes.withUnsafeBytes { bytes in
      #expect(decoder.decode(bytes) { found.append(Array($0)) })
    }
    #expect(found == [try vector.bytes("datagram")])
    var encoder = CarrierEncoder(kind: .tcp, isServer: false)
    try vector.bytes("datagram").withUnsafeBytes { datagram in
      encoder.encode(datagram) { #expect(Array($0) == bytes) }
    }
  }

  private func checkWebSocket(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let isServer = try vector.text("sender") == "accepting"
    var found: [[UInt8]] = []
    var decoder = WebSocketDecoder(expectsMask: !isServer)
    let verdict = bytes.withUnsafeBytes { bytes in
      decoder.decode(bytes) {
        if case .datagram(let datagram) = $0 { found.append(Array(datagram)) }
      }
    }
    #expect(verdict == .goOn)
    #expect(found == [try vector.bytes("datagram")])
    guard vector.isEncoded else { return }
    var encoder = CarrierEncoder(kind: .webSocket, isServer: isServer)
    try vector.bytes("datagram").withUnsafeBytes { datagram in
      encoder.encode(datagram) { #expect(Array($0) == bytes) }
    }
  }

  private func checkDatagram(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let namesService = vector.fields["service"] != nil
    let decoded = DatagramHeaderTests.decode(bytes, namesService: namesService)
    guard vector.fields["result"] != "malformed" else {
      #expect(decoded == nil)
      return
    }
    var header = DatagramHeader(
      flow: try vector.number("flow"), service: vector.fields["service"].flatMap { UInt64($0) },
      fragment: nil)
    if vector.fields["number"] != nil {
      header.fragment = DatagramHeader.Fragment(
        number: try vector.number("number"), index: Int(try vector.number("index")),
        count: Int(try vector.number("count")))
    }
    let payload = try vector.bytes("payload")
    #expect(decoded?.0 == header && decoded?.1 == payload)
    var memory = [UInt8](repeating: 0, count: DatagramHeader.sizeMax)
    let count = memory.withUnsafeMutableBytes(header.write)
    #expect(memory.prefix(count) + payload == bytes)
  }

  /// Exhaustive on purpose: a new kind of message has to find its way into the samples as well.
  private static func name(of message: ControlMessage) -> String {
    switch message {
    case .hello: "hello"
    case .welcome: "welcome"
    case .goodbye: "goodbye"
    case .finished: "finished"
    case .listen: "listen"
    case .listening: "listening"
    case .unlisten: "unlisten"
    case .lost: "lost"
    case .ping: "ping"
    case .pong: "pong"
    case .unknown: "unknown"
    }
  }

  // MARK: Reading the document

  /// A fenced block: a kind, and fields of the form `name = value`.
  struct Vector: CustomTestStringConvertible, Sendable {
    let kind: String
    let line: Int
    var fields: [String: String] = [:]

    var testDescription: String { "\(kind) in line \(line)" }

    /// False for bytes that a receiver must take and that we do not send.
    var isEncoded: Bool { fields["only"] != "decode" }

    func text(_ name: String) throws -> String {
      try #require(fields[name], "\(testDescription) has no \(name)")
    }

    func number(_ name: String) throws -> UInt64 {
      let text = try text(name)
      return try #require(UInt64(text))
    }

    func bytes(_ name: String) throws -> [UInt8] {
      let digits = Array(try text(name))
      try #require(digits.count.isMultiple(of: 2), "\(testDescription): half a byte")
      return try stride(from: 0, to: digits.count, by: 2).map { index in
        try #require(UInt8(String(digits[index...index + 1]), radix: 16))
      }
    }
  }

  /// docs/protocol.md, as far as tests need it.
  struct Document {
    private let lines: [Substring]

    static func load() throws -> Document {
      let text = try SourceFile.read("docs/protocol.md")
      return Document(lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }

    var vectors: [Vector] {
      var vectors: [Vector] = []
      var current: Vector?
      for (index, line) in lines.enumerated() {
        if line.hasPrefix("```vector ") {
          current = Vector(kind: String(line.dropFirst(10)), line: index + 1)
        } else if line == "```" {
          if let current { vectors.append(current) }
          current = nil
        } else if let equals = line.firstIndex(of: "=") {
          current?.fields[Self.trim(line[..<equals])] = Self.trim(
            line[line.index(after: equals)...])
        }
      }
      return vectors
    }

    /// The cells of every table row.
    var rows: [[String]] { Self.rows(lines[...]) }

    /// Those between this heading and the next one of its level.
    func rows(under heading: String) -> [[String]] {
      guard let start = lines.firstIndex(where: { $0 == heading }) else { return [] }
      let rest = lines[(start + 1)...]
      return Self.rows(rest[..<(rest.firstIndex { $0.hasPrefix("## ") } ?? rest.endIndex)])
    }

    private static func rows(_ lines: ArraySlice<Substring>) -> [[String]] {
      lines.filter { $0.hasPrefix("|") }.map { line in
        line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
          .map { trim($0) }
      }
    }

    private static func trim(_ text: Substring) -> String {
      var text = text
      while text.first == " " { text.removeFirst() }
      while text.last == " " { text.removeLast() }
      return String(text)
    }
  }
}
