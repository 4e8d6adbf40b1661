import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("STUN transactions")
struct STUNTransactionTests {
  private static let server = SocketAddress.serverHost.with(port: 3_478)
  private static let start = SimLoop.start

  private func make(seed: UInt64 = 1) -> STUNTransaction {
    var random = SplitMix64(seed: seed)
    return STUNTransaction(
      server: Self.server, changing: nil, now: Self.start, using: &random)
  }

  @Test("it asks at 0, 100, 300 and 700 ms and gives up at 1500 ms")
  func schedule() {
    var question = make()
    var sent: [Duration] = []
    while let due = question.timeout {
      switch question.handleTimeout(now: due) {
      case .send: sent.append(due - Self.start)
      case .over(let outcome):
        #expect(outcome == .timedOut && due - Self.start == .milliseconds(1_500))
      case .wait: Issue.record("woken for nothing")
      }
    }
    #expect(sent == [0, 100, 300, 700].map { .milliseconds($0) })
    #expect(question.handleTimeout(now: .distantFuture) == .wait)
  }

  @Test("only an answer with its transaction counts, and only once")
  func authentication() {
    var question = make()
    _ = question.handleTimeout(now: Self.start)
    var forged = STUNMessage(kind: .success, transaction: make(seed: 2).transaction)
    forged.mappedAddress = .otherHost.with(port: 1)
    #expect(question.receive(forged, from: Self.server) == nil)
    let request = STUNMessage(kind: .request, transaction: question.transaction)
    #expect(question.receive(request, from: Self.server) == nil)
    let empty = STUNMessage(kind: .success, transaction: question.transaction)
    #expect(question.receive(empty, from: Self.server) == nil, "it has no address")
    var answer = empty
    answer.mappedAddress = .clientHost.with(port: 7)
    #expect(question.receive(answer, from: Self.server) == .answered(answer, from: Self.server))
    #expect(question.timeout == nil)
    #expect(question.receive(answer, from: Self.server) == nil)
  }

  @Test("a refusal ends it")
  func refusal() {
    var question = make()
    var refusal = STUNMessage(kind: .error, transaction: question.transaction)
    refusal.errorCode = 420
    #expect(question.receive(refusal, from: Self.server) == .refused(420))
    #expect(question.timeout == nil)
  }
}

@Suite("STUN responder")
struct STUNResponderTests {
  private static let client = SocketAddress.clientHost.with(port: 5_000)
  private static let start = SimLoop.start

  private func request(_ seed: UInt64 = 1, change: Bool = false) -> STUNMessage {
    var random = SplitMix64(seed: seed)
    var message = STUNMessage(kind: .request, transaction: TransactionID(using: &random))
    if change { message.changeRequest = .init(address: true, port: true) }
    return message
  }

  private func ask(
    _ responder: inout STUNResponder, _ bytes: [UInt8], from source: SocketAddress = client
  ) throws -> STUNResponder.Answer {
    let answer = responder.answer(bytes, from: source, now: Self.start)
    return try #require(answer)
  }

  @Test("a request is answered with its source address and transaction")
  func answers() throws {
    var responder = STUNResponder(otherAddress: nil, now: Self.start)
    let answer = try ask(&responder, request().encoded)
    let message = try #require(STUNMessage(answer.bytes))
    #expect(message.kind == .success && message.mappedAddress == Self.client)
    #expect(message.transaction == request().transaction)
    #expect(answer.change == .init(address: false, port: false))
  }

  @Test("what has to be understood and is not is named in a refusal")
  func unknown() throws {
    var responder = STUNResponder(otherAddress: nil, now: Self.start)
    let answer = try ask(&responder, STUNMessageTests.sampleRequest)
    let message = try #require(STUNMessage(answer.bytes))
    #expect(message.kind == .error && message.errorCode == 420)
    #expect(message.unknownAttributes == [0x0024])
  }

  @Test("another address answers if there is one, else the wish is refused")
  func changeRequest() throws {
    let other = SocketAddress.otherHost.with(port: 3_479)
    var with = STUNResponder(otherAddress: other, now: Self.start)
    let answer = try ask(&with, request(change: true).encoded)
    #expect(answer.change == .init(address: true, port: true))
    #expect(STUNMessage(answer.bytes)?.otherAddress == other)
    var without = STUNResponder(otherAddress: nil, now: Self.start)
    let refusal = try ask(&without, request(change: true).encoded)
    #expect(STUNMessage(refusal.bytes)?.unknownAttributes == [0x0003])
  }

  @Test("answers, noise and indications are not answered")
  func silence() {
    var responder = STUNResponder(otherAddress: nil, now: Self.start)
    let junk: [[UInt8]] = [
      [], [0], STUNMessageTests.sampleResponseIPv4, STUNMessageTests.sampleResponseIPv6,
      STUNMessage(kind: .indication, transaction: request().transaction).encoded,
      [UInt8](repeating: 0, count: 1_500),
    ]
    for bytes in junk {
      #expect(responder.answer(bytes, from: Self.client, now: Self.start) == nil)
    }
  }

  @Test("a flood gets few answers, from one source and from many")
  func flood() {
    var responder = STUNResponder(otherAddress: nil, now: Self.start)
    let bytes = request().encoded
    func answers(sources: Int, packets: Int) -> Int {
      (0..<packets).count { packet in
        let source = SocketAddress(ipv4: UInt32(0x0a00_0000 + packet % sources), port: 9)
        let now = Self.start + .microseconds(100 * packet)
        return responder.answer(bytes, from: source, now: now) != nil
      }
    }
    // 10,000 packets within a second.
    #expect(answers(sources: 1, packets: 10_000) <= 61)
    #expect(answers(sources: 10_000, packets: 10_000) <= 2_000)
  }

  @Test("an answer is at most three times its request, and small")
  func amplification() throws {
    var responder = STUNResponder(otherAddress: .serverHostIPv6.with(port: 1), now: Self.start)
    let source = SocketAddress.clientHostIPv6.with(port: 2)
    let answer = try ask(&responder, request().encoded, from: source)
    #expect(answer.bytes.count <= 84)
    #expect(answer.bytes.count <= 3 * request().encoded.count)
  }
}
