import HolePunch
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Relay messages")
struct RelayMessageTests {
  /// One of every kind, with every field in use.
  static let samples: [RelayMessage] = [
    .hello(.init(version: 1, capabilities: 5)),
    .welcome(
      .init(
        version: 1, capabilities: 0, time: 1_800_000_000, lease: 45,
        observed: SocketAddress(ipv4: 0xc000_0201, port: 4_433), stunPorts: [3_478, 3_479])),
    .offer(NodeOffer(number: 2, report: report, candidates: candidates)),
    .register,
    .find(.init(peer: Identity.fixture(1).publicKey, token: [1, 2, 3])),
    .knock(.init(introduction: 7, peer: Identity.fixture(2).publicKey, token: [1, 2, 3])),
    .admit(introduction: 7),
    .plan(
      .init(
        introduction: 7, peer: Identity.fixture(2).publicKey,
        salt: [UInt8](0..<16),
        plan: PunchPlan(
          round: 3, offer: 2, mode: .birthday, role: .hard, hold: .milliseconds(70), peer: report,
          observedPeer: SocketAddress(ipv4: 0xc000_0202, port: 9), candidates: candidates))),
    .again(introduction: 7),
    .done(introduction: 7),
    .gone(introduction: 7),
    .absent(peer: Identity.fixture(1).publicKey),
    .throttled(peer: Identity.fixture(1).publicKey, retryAfter: .seconds(10)),
    .forwarding(
      .leg(
        introduction: 7,
        LegGrant(session: 0x0102_0304, generation: 0x0506_0708, key: [UInt8](0..<32)))),
    .forwarding(.refused(introduction: 7, reason: 2)),
    .forwarding(.ended(introduction: 7)),
    .forwarding(.throttled(introduction: 7, bytesPerSecond: 25_000_000)),
    .listening(
      .listen(
        PublicRequest(
          number: 3, kind: .http, port: 0, name: "app.example.com", label: [UInt8](0..<8),
          group: [UInt8](0..<32), balance: .leastLatency))),
    .listening(
      .listen(
        PublicRequest(
          number: 300, kind: nil, port: 8_080, name: "", label: [UInt8](0..<8), group: [],
          balance: .roundRobin))),
    .listening(
      .listening(.init(number: 3, status: .listening, port: 10_003, host: "relay.example"))),
    .listening(.listening(.init(number: 3, status: .other(99), port: 0, host: ""))),
    .listening(.unlisten(number: 3)),
    .listening(.ended(number: 3, .replaced)),
    .access(.token(secret: [UInt8](0..<16))),
    .access(.rights(.init(relays: true, expiry: 1_800_000_000, bytesPerSecond: 2_500_000))),
    .access(.denied(type: 4, reason: 7)),
    .access(.restarting(.init(stopsIn: 3_000, spread: 200))),
    .unknown(type: 12_042),
  ]

  private static let candidates = [
    Candidate(address: SocketAddress(ipv4: 0xc0a8_0107, port: 4_433), kind: .local),
    Candidate(
      address: SocketAddress(high: 0x2001_0db8 << 32, low: 1, port: 443), kind: .global),
  ]

  private static let report = {
    var report = NATReport(
      mapping: .addressAndPortDependent, filtering: .addressDependent, portDelta: -3)
    report.lastPort = 40_000
    report.preservesPort = false
    report.hairpins = true
    report.portMapping = .natPMP
    return report
  }()

  @Test("each message is the relay's or the node's to say", arguments: samples)
  func sides(message: RelayMessage) {
    let isOfNode: Bool
    switch message {
    case .hello, .offer, .register, .find, .admit, .again, .done: isOfNode = true
    case .access(.token), .listening(.listen), .listening(.unlisten): isOfNode = true
    // The greeting has its own time.
    case .welcome: isOfNode = true
    default: isOfNode = false
    }
    #expect(message.isOfRelay == !isOfNode)
  }

  @Test("every message is read as it was written", arguments: samples)
  func roundTrip(message: RelayMessage) {
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(message.encoded)
    #expect(decoder.next() == .message(message))
    #expect(decoder.next() == .needsMore)
  }

  @Test("a message that ends within a field is malformed", arguments: samples)
  func truncated(message: RelayMessage) {
    let (type, body) = parts(message)
    if case .unknown = message { return }
    for count in 0..<body.count {
      #expect(RelayMessage(type: type, body: Array(body.prefix(count))) == nil)
    }
  }

  @Test("bytes of later versions behind the known fields are ignored", arguments: samples)
  func extended(message: RelayMessage) {
    let (type, body) = parts(message)
    #expect(RelayMessage(type: type, body: body + [1, 2, 3]) == message)
  }

  private func parts(_ message: RelayMessage) -> (type: UInt64, body: [UInt8]) {
    var reader = WireReader(message.encoded)
    let type = reader.varint()
    let body = reader.prefixed(max: RelayMessage.bodyMax)
    return (type ?? 0, Array(body ?? []))
  }
}
