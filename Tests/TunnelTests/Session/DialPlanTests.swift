import QuicTransport
import Testing

@testable import Tunnel

@Suite("The race of addresses and carriers")
struct DialPlanTests {
  private let first = SocketAddress(ipv4: 1, port: 1)
  private let second = SocketAddress(ipv4: 2, port: 2)

  @Test("UDP goes first, TCP 250 ms later, each address with a head start")
  func automatic() {
    let plan = DialPlan(addresses: [first, second], policy: .automatic)
    #expect(
      plan.attempts == [
        DialPlan.Attempt(delay: .zero, address: first, kind: .udp),
        DialPlan.Attempt(delay: .milliseconds(50), address: second, kind: .udp),
        DialPlan.Attempt(delay: .milliseconds(250), address: first, kind: .tcp),
        DialPlan.Attempt(delay: .milliseconds(300), address: second, kind: .tcp),
      ])
  }

  @Test("a kind that is the only one starts at once")
  func restricted() {
    let plan = DialPlan(addresses: [first], policy: .only(.tcp))
    #expect(plan.attempts == [DialPlan.Attempt(delay: .zero, address: first, kind: .tcp)])
  }
}
