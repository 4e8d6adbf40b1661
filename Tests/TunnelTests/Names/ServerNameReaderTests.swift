import Simulation
import Testing

@testable import Tunnel

@Suite("Server name reader")
struct ServerNameReaderTests {
  private func read(_ bytes: [UInt8], step: Int = .max) -> ServerNameReader.Result {
    var reader = ServerNameReader()
    var result = ServerNameReader.Result.needsMore
    for start in stride(from: 0, to: bytes.count, by: min(step, max(1, bytes.count))) {
      let piece = Array(bytes[start..<min(start + min(step, bytes.count), bytes.count)])
      result = piece.withUnsafeBytes { reader.read($0) }
      if result != .needsMore { return result }
    }
    return result
  }

  @Test(
    "the name is found in records and pieces of any size",
    arguments: [1, 2, 5, 100, 16_384], [1, 3, 4_096])
  func pieces(recordSize: Int, step: Int) {
    var hello = ClientHello("App.Example.ORG")
    hello.recordSize = recordSize
    #expect(read(hello.bytes, step: step) == .name("app.example.org"))
    // What follows is nothing to it.
    #expect(read(hello.bytes + [20, 3, 3, 0, 1, 1], step: step) == .name("app.example.org"))
  }

  @Test("nothing is said before the last byte of the message, and the answer stays")
  func patience() {
    let bytes = ClientHello("a.example").bytes
    for count in 0..<bytes.count { #expect(read(Array(bytes[..<count])) == .needsMore) }
    var reader = ServerNameReader()
    _ = bytes.withUnsafeBytes { reader.read($0) }
    #expect([1, 2].withUnsafeBytes { reader.read($0) } == .name("a.example"))
  }

  @Test("a ClientHello without a name says so")
  func none() {
    #expect(read(ClientHello(nil).bytes) == .noName)
    var old = ClientHello(nil)
    old.hasExtensions = false
    #expect(read(old.bytes) == .noName)
    var other = ClientHello(nil)
    other.serverName = ClientHello.list([(1, [1, 2, 3])])
    #expect(read(other.bytes) == .noName)
  }

  @Test(
    "names that are none, or could be taken for two, are refused",
    arguments: [
      "", ".", "a b.example", "a..example", "192.0.2.1", "2001:db8::1", "a\u{0}.example",
      "xn--ä.example", "-a.example", String(repeating: "a", count: 64) + ".example",
    ])
  func badNames(name: String) {
    #expect(read(ClientHello(name).bytes) == .notTLS)
  }

  @Test("a name that comes twice is refused, in one extension or in two")
  func twice() {
    var hello = ClientHello(nil)
    hello.serverName = ClientHello.list([
      (0, Array("a.example".utf8)), (0, Array("b.example".utf8)),
    ])
    #expect(read(hello.bytes) == .notTLS)
    var two = ClientHello("a.example")
    two.others.append(
      [0, 0] + ClientHello.vector(2, ClientHello.list([(0, Array("b.example".utf8))])))
    #expect(read(two.bytes) == .notTLS)
  }

  @Test("what is no ClientHello is refused with the first byte that shows it")
  func foreign() {
    #expect(read(Array("GET".utf8)) == .notTLS)
    #expect(read([21]) == .notTLS)
    #expect(read([22, 2]) == .notTLS)
    #expect(read([22, 3, 1, 0, 0]) == .notTLS)
    #expect(read([22, 3, 1, 0x40, 1]) == .notTLS)
    #expect(read([22, 3, 1, 0, 5, 2]) == .notTLS)
  }

  @Test("16 KiB are enough for a ClientHello, and more is not waited for")
  func size() {
    // With the rest of the message, the record's header included, 16 KiB to the byte.
    var hello = ClientHello("a.example")
    hello.others.append([])
    let room = ServerNameReader.sizeMax - hello.bytes.count - 4
    hello.others[1] = [0, 21] + ClientHello.vector(2, [UInt8](repeating: 0, count: room))
    #expect(hello.bytes.count == ServerNameReader.sizeMax)
    #expect(read(hello.bytes, step: 1_000) == .name("a.example"))
    hello.others[1] = [0, 21] + ClientHello.vector(2, [UInt8](repeating: 0, count: room + 1))
    #expect(read(hello.bytes, step: 1_000) == .notTLS)
    // A length that promises more is not believed, nor are records that never fill a message.
    #expect(read([22, 3, 1, 0, 5, 1, 0xff, 0xff, 0xff, 0]) == .notTLS)
  }

  @Test(
    "every change of a byte ends in an answer or in waiting, never in a crash", arguments: Seeds.all
  )
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      var bytes = ClientHello("a.example").bytes
      for _ in 0...random.below(3) {
        bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(random.below(256))
      }
      if case .name(let name) = read(bytes, step: 1 + Int(random.below(40))) {
        #expect(TargetHost.normalized(name) == name)
      }
    }
  }
}
