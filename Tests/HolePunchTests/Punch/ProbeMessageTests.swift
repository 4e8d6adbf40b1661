import QuicTransport
import Simulation
import Testing

@testable import HolePunch

@Suite("Probe messages")
struct ProbeMessageTests {
  private let first: PunchKeys
  private let second: PunchKeys
  private var random = SplitMix64(seed: 1)

  init() {
    (first, second) = PunchKeys.fixtures()
  }

  private mutating func message(_ type: ProbeMessage.MessageType) -> ProbeMessage {
    ProbeMessage(
      type: type, isChosen: type == .probe, round: 7, number: 9,
      transaction: TransactionID(using: &random), observed: .clientHost.with(port: 77))
  }

  @Test("what one side signs, the other side reads; both sizes are the same")
  mutating func roundTrip() {
    for type in [ProbeMessage.MessageType.probe, .answer] {
      let message = message(type)
      let bytes = message.encoded(keys: first)
      #expect(bytes.count == ProbeMessage.byteCount)
      #expect(ProbeMessage(bytes, keys: second) == message)
      #expect(ProbeMessage.pair(of: bytes) == second.pair)
    }
  }

  @Test("a message that comes back to its sender is not believed")
  mutating func reflection() {
    let bytes = message(.probe).encoded(keys: first)
    #expect(ProbeMessage(bytes, keys: first) == nil)
  }

  @Test("any changed bit is noticed, and so is any other length")
  mutating func tampering() {
    let bytes = message(.answer).encoded(keys: first)
    for index in 0..<(bytes.count * 8) {
      var changed = bytes
      changed[index / 8] ^= 1 << UInt8(index % 8)
      #expect(ProbeMessage(changed, keys: second) == nil, "bit \(index)")
    }
    for count in 0..<bytes.count {
      #expect(ProbeMessage(Array(bytes.prefix(count)), keys: second) == nil)
    }
    #expect(ProbeMessage(bytes + [0], keys: second) == nil)
  }

  @Test("another secret, salt or peer gives other keys")
  mutating func keys() {
    let bytes = message(.probe).encoded(keys: first)
    for other in [
      PunchKeys.fixtures(secret: 2).second, PunchKeys.fixtures(salt: [1]).second,
    ] {
      #expect(other.pair != second.pair)
      #expect(ProbeMessage(bytes, keys: other) == nil)
    }
    #expect(first.isFirst != second.isFirst && first.pair == second.pair)
  }

  @Test("it cannot be taken for a path message of a session, which has 43 bytes")
  func distinct() {
    #expect(ProbeMessage.byteCount != 43)
    #expect(ProbeMessage.MessageType(rawValue: 5) == nil)
  }
}

@Suite("Replay window")
struct ReplayWindowTests {
  @Test("every number is accepted once, in any order within the window", arguments: Seeds.all)
  func once(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var window = ReplayWindow()
    let numbers = (1...UInt32(ReplayWindow.count)).shuffled(using: &random)
    for number in numbers { #expect(window.accept(number) == true) }
    for number in numbers { #expect(window.accept(number) == false) }
  }

  @Test("what is older than the window counts as seen; a jump forgets nothing within it")
  func jump() {
    var window = ReplayWindow()
    let numbers: [(UInt32, Bool)] = [
      (5, true), (100_000, true), (5, false), (100_000 - UInt32(ReplayWindow.count), false),
      (100_001 - UInt32(ReplayWindow.count), true), (.max, true), (.max, false),
      (.max - 1, true), (100_001, false),
    ]
    for (number, isNew) in numbers { #expect(window.accept(number) == isNew, "\(number)") }
  }
}
