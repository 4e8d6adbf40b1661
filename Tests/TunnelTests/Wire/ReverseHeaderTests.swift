import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Reverse header")
struct ReverseHeaderTests {
  @Test("a header is found at the front of a stream, and its length told")
  func roundTrip() {
    for listener in [0, 63, 64, 1 << 61] as [UInt64] {
      for host in ["192.0.2.1", "2001:db8::1"] {
        let header = ReverseHeader(
          listener: listener, source: SocketAddress(host, port: 40_000) ?? .any)
        let bytes = header.encoded
        #expect(bytes.count <= FlowHeader.sizeMax)
        #expect(ReverseHeader.decode(bytes + [9]) == .header(header, count: bytes.count))
        for count in 0..<bytes.count {
          #expect(ReverseHeader.decode(Array(bytes.prefix(count))) == .needsMore)
        }
      }
    }
  }

  @Test("other kinds are malformed at once", arguments: [0, 1, 2, 4, 63] as [UInt8])
  func otherKind(kind: UInt8) {
    #expect(ReverseHeader.decode([kind]) == .malformed)
  }

  @Test("the dialler's headers have not this kind")
  func notForServices() {
    let header = ReverseHeader(listener: 0, source: .any).encoded
    #expect(FlowHeader.decode(header) == .malformed)
  }
}
