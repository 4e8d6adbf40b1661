import HolePunch
import QuicTransport
import Testing

@testable import Tunnel

extension ProtocolDocumentTests {
  /// The bytes stand for one of the samples, which have every field.
  func checkRelay(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let name = try vector.text("name")
    let sample = try #require(
      RelayMessageTests.samples.first { Self.name(of: $0) == name }, "no message \(name)")
    #expect(sample.encoded == bytes, "\(hex(sample.encoded))")
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(bytes)
    #expect(decoder.next() == .message(sample))
  }

  func checkFindToken(_ vector: Vector) throws {
    let capability = SecretBytes(try vector.bytes("capability"))
    let parties = FindToken.Parties(
      rendezvous: try #require(PublicKey(try vector.bytes("rendezvous"))),
      dialler: try #require(PublicKey(try vector.bytes("dialler"))),
      sharer: try #require(PublicKey(try vector.bytes("sharer"))))
    let time = try vector.number("time")
    let token = FindToken(
      capability: capability, grant: try vector.bytes("grant"), parties: parties, time: time)
    let bytes = try vector.bytes("hex")
    #expect(token.encoded == bytes, "\(hex(token.encoded))")
    let read = try #require(FindToken(bytes))
    #expect(read.isValid(capability: capability, parties: parties, now: time))
  }

  func checkRelayToken(_ vector: Vector) throws {
    let text = try vector.text("text")
    let token = try #require(RelayToken(text), "\(text)")
    let secret = try vector.bytes("secret")
    #expect(token.text == text && token.secret.withBytes { Array($0) } == secret)
    #expect(token.digest == (try vector.bytes("digest")))
    #expect(token.isFor(try #require(PublicKey(try vector.bytes("relay")))))
  }

  /// `KEY ADDRESS PORT`
  func rendezvous(_ text: String) throws -> RendezvousAddress {
    let words = text.split(separator: " ")
    let digits = Array(words[0])
    let key = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(digits[$0...$0 + 1]), radix: 16)
    }
    let port = try #require(UInt16(words[2]))
    return RendezvousAddress(
      key: try #require(PublicKey(key)),
      addresses: [try #require(SocketAddress(String(words[1]), port: port))])
  }

  @Test("there is a vector and a row for every message of a relay")
  func relayCoverage() throws {
    let document = try Document.load()
    let vectors = document.vectors.filter { $0.kind == "relay" }.compactMap { $0.fields["name"] }
    let rows = document.rows(under: "## Rendezvous")
    for sample in RelayMessageTests.samples {
      if case .unknown = sample { continue }
      // These have vectors and a table of their own.
      if case .forwarding = sample { continue }
      if case .listening = sample { continue }
      let name = Self.name(of: sample)
      #expect(vectors.contains(name))
      let type = sample.encoded[0]
      #expect(rows.contains { $0.starts(with: ["\(type)", name.uppercased()]) }, "\(name)")
    }
  }

  @Test("every code of a relay is in the table, and no other is")
  func relayCodes() throws {
    let source = try SourceFile.read("Sources/Tunnel/Relay/RelayCode.swift")
    var declared: Set<[String]> = []
    for line in source.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 6, words[0] == "static", words[1] == "let" else { continue }
      declared.insert([String(words[5]), String(words[2].dropLast())])
    }
    #expect(declared.count >= 9)
    let rows = try Document.load().rows(under: "## Rendezvous")
    #expect(Set(rows.filter { $0[0].hasPrefix("0x") }.map { Array($0.prefix(2)) }) == declared)
  }

  /// Exhaustive on purpose: a new kind of message has to find its way into the samples as well.
  private static func name(of message: RelayMessage) -> String {
    switch message {
    case .hello: "hello"
    case .welcome: "welcome"
    case .offer: "offer"
    case .register: "register"
    case .find: "find"
    case .knock: "knock"
    case .admit: "admit"
    case .plan: "plan"
    case .again: "again"
    case .done: "done"
    case .gone: "gone"
    case .absent: "absent"
    case .throttled: "throttled"
    case .forwarding: "forwarding"
    case .listening: "public"
    case .access(.token): "token"
    case .access(.rights): "rights"
    case .access(.denied): "denied"
    case .access(.restarting): "restarting"
    case .unknown: "unknown"
    }
  }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
