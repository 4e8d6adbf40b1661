import QuicTransport
import Testing

@testable import Tunnel

/// The vectors of datagrams that name their targets.
extension ProtocolDocumentTests {
  func checkTarget(_ vector: Vector) throws {
    let bytes = try vector.bytes("hex")
    let decoded = DatagramTargetTests.decode(bytes)
    guard vector.fields["result"] != "malformed" else {
      #expect(decoded == nil)
      return
    }
    let payload = try vector.bytes("payload")
    #expect(decoded?.payload == payload)
    let words = try vector.text(vector.fields["name"] == nil ? "target" : "name")
      .split(separator: " ")
    let port = try #require(UInt16(words[1]))
    guard vector.fields["name"] == nil else {
      #expect(decoded?.target == .name(Destination(host: String(words[0]), port: port)))
      return
    }
    let address = try #require(SocketAddress(String(words[0]), port: port))
    #expect(decoded?.target == .address(address))
    if vector.isEncoded { #expect(DatagramTargetTests.encode(address) + payload == bytes) }
  }
}
