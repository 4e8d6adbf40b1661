import QuicTransport
import Testing

@testable import Tunnel

/// The vectors of reverse listening.
extension ProtocolDocumentTests {
  func checkReverseHeader(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let header = ReverseHeader(
      listener: try vector.number("listener"), source: try address(vector, "source"))
    #expect(header.encoded == bytes)
    #expect(ReverseHeader.decode(bytes) == .header(header, count: bytes.count))
  }

  func reverseMessage(_ vector: Vector) throws -> ControlMessage {
    let number = try vector.number("number")
    switch try vector.text("name") {
    case "listen":
      return .listen(
        ControlMessage.Listen(number: number, kind: .tcp, address: try address(vector, "address")))
    case "listening":
      return .listening(
        ControlMessage.Listening(
          number: number, status: ListenStatus(number: try vector.number("status")),
          address: try address(vector, "address")))
    default: return .unlisten(number)
    }
  }

  private func address(_ vector: Vector, _ name: String) throws -> SocketAddress {
    let words = try vector.text(name).split(separator: " ")
    let port = try #require(UInt16(words[1]))
    return try #require(SocketAddress(String(words[0]), port: port))
  }
}
