import HolePunch
import QuicTransport
import Simulation
import Testing

@Suite("Punch middleware")
struct PunchMiddlewareTests {
  /// Puts a byte before what leaves, and takes it away from what arrives.
  private final class Wrapping: PunchMiddleware {
    let byte: UInt8
    init(_ byte: UInt8) { self.byte = byte }
    func outgoing(_ bytes: [UInt8], to destination: SocketAddress) -> [UInt8]? { [byte] + bytes }
    func incoming(_ bytes: [UInt8], from source: SocketAddress) -> [UInt8]? {
      bytes.first == byte ? Array(bytes.dropFirst()) : nil
    }
  }

  private final class Journal: PunchMiddleware {
    var events: [PunchEvent] = []
    func note(_ event: PunchEvent) { events.append(event) }
  }

  private func machine(_ keys: PunchKeys, _ middleware: [any PunchMiddleware]) -> PunchMachine {
    PunchMachine(
      keys: keys, filter: CandidateFilter(interfaces: [], reflexive: []),
      settings: PunchSettings(), random: SplitMix64(seed: 1), middleware: middleware,
      now: SimLoop.start)
  }

  @Test("layers wrap in order and unwrap in reverse; a peer without them is not understood")
  func layers() throws {
    let (first, second) = PunchKeys.fixtures()
    let journal = Journal()
    var sender = machine(first, [journal, Wrapping(0xf1), Wrapping(0xf2)])
    let address = SocketAddress.serverHost.with(port: 9)
    sender.begin(
      PunchPlan(
        round: 1, offer: 1, mode: .plain, role: .equal, hold: .zero, peer: NATReport(),
        observedPeer: nil,
        candidates: [Candidate(address: address, kind: .reflexive)]),
      socket: 3, offer: 1, now: SimLoop.start)
    let effect = sender.nextEffect()
    guard case .send(let datagram) = effect else {
      Issue.record("no probe")
      return
    }
    #expect(datagram.bytes.prefix(3) == [0xf2, 0xf1, 0x2a] && datagram.socket == 3)
    #expect(journal.events == [.began(round: 1, mode: .plain, targets: 1)])

    let source = SocketAddress.clientHost.with(port: 4)
    var wrapped = machine(second, [Wrapping(0xf1), Wrapping(0xf2)])
    let isTaken = wrapped.receive(datagram.bytes, from: source, socket: 0, now: SimLoop.start)
    #expect(isTaken && wrapped.nextEffect() != nil)
    var plain = machine(second, [])
    let isTakenPlainly = plain.receive(
      datagram.bytes, from: source, socket: 0, now: SimLoop.start)
    #expect(!isTakenPlainly && plain.nextEffect() == nil)
  }
}
