import QuicTransport
import Testing

@testable import Tunnel

extension ProtocolDocumentTests {
  func checkPublic(_ vector: Vector) throws {
    let number = try vector.number("number")
    let message: PublicMessage
    switch try vector.text("name") {
    case "listen":
      message = .listen(
        PublicRequest(
          number: number, kind: PublicKind(number: try vector.number("kind")),
          port: UInt16(try vector.number("port")), name: try vector.text("host"),
          label: try vector.bytes("label"), group: try vector.bytes("group"),
          balance: Balance(number: UInt8(try vector.number("balance")))))
    case "listening":
      message = .listening(
        PublicMessage.Answer(
          number: number, status: PublicStatus(number: try vector.number("status")),
          port: UInt16(try vector.number("port")), host: try vector.text("host")))
    case "health": message = .health(number: number, isUp: try vector.number("up") == 1)
    case "unlisten": message = .unlisten(number: number)
    default:
      message = .ended(number: number, PublicStatus(number: try vector.number("status")))
    }
    let bytes = try vector.bytes("hex")
    #expect(RelayMessage.listening(message).encoded == bytes)
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(bytes)
    #expect(decoder.next() == .message(.listening(message)))
  }

  func checkPublicHeader(_ vector: Vector) throws {
    func address(_ text: String) throws -> SocketAddress {
      let words = text.split(separator: " ")
      let port = try #require(UInt16(words[1]))
      return try #require(SocketAddress(String(words[0]), port: port))
    }
    let header = PublicHeader(
      listener: try vector.number("listener"), source: try address(vector.text("source")),
      destination: try address(vector.text("destination")))
    let bytes = try vector.bytes("hex")
    #expect(header.encoded == bytes)
    #expect(PublicHeader.decode(bytes) == .header(header, count: bytes.count))
  }

  @Test("every status of a public listener is in the table")
  func publicStatuses() throws {
    let rows = try Document.load().rows(under: "## Public listeners")
    for number in UInt64(0)... {
      if case .other = PublicStatus(number: number) { break }
      #expect(rows.contains { $0.count == 2 && $0[0] == String(number) }, "\(number)")
    }
  }
}
