import CNgtcp2
import Testing

@testable import QuicTransport

@Suite("ConnectionID")
struct ConnectionIDTests {
  @Test("IDs are equal when bytes and length are")
  func equality() {
    func id(_ bytes: [UInt8]) -> ConnectionID { bytes.withUnsafeBytes { ConnectionID($0) } }
    #expect(id([1, 2]) == id([1, 2]))
    #expect(id([1, 2]) != id([1, 2, 0]) && id([]) != id([0]))
    #expect(Set([id([1, 2]), id([1, 2]), id([1, 2, 0])]).count == 2)
    let longest = [UInt8](1...20)
    #expect(ConnectionID(id(longest).cid) == id(longest))
  }

  @Test("a fresh ID names its loop, has sixteen bytes and is random")
  func random() {
    let id = ConnectionID.random(shard: 0x5a)
    #expect(id.count == 16 && id.cid.datalen == 16 && id.cid.data.0 == 0x5a)
    #expect(id != .random(shard: 0x5a))
  }
}

@Suite("ResetToken")
struct ResetTokenTests {
  @Test("it is the last sixteen bytes of a datagram of 21 or more")
  func end() {
    let bytes = [UInt8](0..<30)
    let token = bytes.withUnsafeBytes { ResetToken(endOf: $0) }
    #expect(token == bytes[14...].withUnsafeBytes { ResetToken($0) })
    #expect([UInt8](0..<20).withUnsafeBytes { ResetToken(endOf: $0) } == nil)
    #expect([UInt8](0..<21).withUnsafeBytes { ResetToken(endOf: $0) } != nil)
  }
}

@Suite("ClientMemory")
struct ClientMemoryTests {
  @Test("tokens and tickets are handed out once")
  func once() {
    var memory = ClientMemory()
    memory.keep(token: [1], for: "a")
    memory.keep(ticket: [2], for: "a")
    memory.keep(token: [3], for: "a")
    #expect(memory.takeToken(for: "b").isEmpty && memory.takeTicket(for: "b") == nil)
    #expect(memory.takeToken(for: "a") == [3] && memory.takeToken(for: "a").isEmpty)
    #expect(memory.takeTicket(for: "a") == [2] && memory.takeTicket(for: "a") == nil)
  }

  @Test("no more than 64 servers are remembered, the latest always")
  func bound() {
    var memory = ClientMemory()
    for number in 0..<1_000 { memory.keep(token: [1], for: "server \(number)") }
    #expect(memory.takeToken(for: "server 999") == [1])
    let known = (0..<1_000).filter { !memory.takeToken(for: "server \($0)").isEmpty }
    #expect(known.count == 63)
  }
}

@Suite("ClosePacket")
struct ClosePacketTests {
  @Test("it answers the first, second, fourth, eighth ... arrival")
  func answers() {
    let path = NetworkPath(local: .loopbackIPv4, remote: .loopbackIPv4)
    let packet = ClosePacket(bytes: [1], path: path, ecn: .notCapable, repeats: [])
    let answered = (1...100).filter { _ in packet.shouldAnswer(1) }
    #expect(answered == [1, 2, 4, 8, 16, 32, 64])
  }

  @Test("it answers nobody with more than three times what came")
  func amplifies() {
    let path = NetworkPath(local: .loopbackIPv4, remote: .loopbackIPv4)
    let bytes = [UInt8](repeating: 0, count: 64)
    let packet = ClosePacket(bytes: bytes, path: path, ecn: .notCapable, repeats: [])
    #expect(!packet.shouldAnswer(21) && packet.shouldAnswer(22))
  }
}
