import HolePunch
import QuicTransport
import Testing

extension ProtocolDocumentTests {
  func checkProbe(_ vector: Vector) throws {
    let secret = SecretBytes(try vector.bytes("secret"))
    let salt = try vector.bytes("salt")
    let sender = try #require(PublicKey(try vector.bytes("sender")))
    let receiver = try #require(PublicKey(try vector.bytes("receiver")))
    let observed = try vector.text("observed").split(separator: " ")
    let port = try #require(UInt16(observed[1]))
    let type = UInt8(try vector.number("type"))
    let message = ProbeMessage(
      type: try #require(ProbeMessage.MessageType(rawValue: type)),
      isChosen: try vector.number("chosen") == 1, round: UInt32(try vector.number("round")),
      number: UInt32(try vector.number("number")),
      transaction: try #require(TransactionID(try vector.bytes("transaction"))),
      observed: try #require(SocketAddress(String(observed[0]), port: port)))
    let bytes = try vector.bytes("hex")
    let sending = PunchKeys(
      secret: secret, salt: salt, ours: sender, theirs: receiver, winsTies: false)
    let receiving = PunchKeys(
      secret: secret, salt: salt, ours: receiver, theirs: sender, winsTies: false)
    #expect(message.encoded(keys: sending) == bytes)
    #expect(ProbeMessage(bytes, keys: receiving) == message)
  }
}
