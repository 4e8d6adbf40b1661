import Simulation
import Testing

@testable import Tunnel

@Suite("Flow header")
struct FlowHeaderTests {
  @Test("a header is found at the front of a stream, and its length told")
  func roundTrip() {
    for name in ["", "web", String(repeating: "x", count: ControlMessage.nameMax), "größe"] {
      let header = FlowHeader(kind: .tcp, service: name)
      let bytes = header.encoded
      #expect(bytes.count <= FlowHeader.sizeMax)
      #expect(
        FlowHeader.decode(bytes + [9, 9, 9]) == .header(header, count: bytes.count))
      for count in 0..<bytes.count {
        #expect(FlowHeader.decode(Array(bytes.prefix(count))) == .needsMore)
      }
    }
  }

  @Test("a destination is part of the header, and whole or not there")
  func destination() {
    for host in ["a", "2001:db8::1", String(repeating: "h", count: Destination.hostMax)] {
      let service = String(repeating: "x", count: ControlMessage.nameMax)
      let header = FlowHeader(service: service, destination: Destination(host: host, port: 443))
      let bytes = header.encoded
      #expect(bytes.count <= FlowHeader.sizeMax)
      #expect(FlowHeader.decode(bytes + [9]) == .header(header, count: bytes.count))
      for count in 0..<bytes.count {
        #expect(FlowHeader.decode(Array(bytes.prefix(count))) == .needsMore)
      }
    }
    // No host, one that is too long, no port.
    #expect(FlowHeader.decode([2, 0, 0]) == .malformed)
    #expect(FlowHeader.decode([2, 0, 0x41, 0x00]) == .malformed)
    #expect(FlowHeader.decode([2, 0, 1, 0x61, 0, 0]) == .malformed)
  }

  @Test("longer encodings of numbers are accepted, as in QUIC")
  func longVarints() {
    let bytes: [UInt8] = [0x40, 0x01, 0x80, 0, 0, 1, 0x61]
    let header = FlowHeader(kind: .tcp, service: "a")
    #expect(FlowHeader.decode(bytes) == .header(header, count: 7))
  }

  @Test("an unknown kind is malformed at once")
  func unknownKind() {
    #expect(FlowHeader.decode([0]) == .malformed)
    #expect(FlowHeader.decode([63]) == .malformed)
    #expect(FlowHeader.decode([UInt8](repeating: 0xff, count: 8)) == .malformed)
  }

  @Test("a name above the limit is malformed at its length")
  func longName() {
    #expect(FlowHeader.decode([1, 0x41, 0x00]) == .malformed)
    #expect(FlowHeader.decode([1, 0x40, 0xff]) == .needsMore)
  }

  @Test("random bytes never crash it, nor take more than there is", arguments: Seeds.all)
  func noise(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<2_000 {
      var bytes = Payload.bytes(Int(random.below(24)), seed: random.next())
      if !bytes.isEmpty, random.chance(0.7) { bytes[0] = random.chance(0.5) ? 1 : 2 }
      if case .header(_, let count) = FlowHeader.decode(bytes) { #expect(count <= bytes.count) }
    }
  }
}
