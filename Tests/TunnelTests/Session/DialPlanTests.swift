import QuicTransport
import Testing

@testable import Tunnel

@Suite("The race of addresses and carriers")
struct DialPlanTests {
  private let first = SocketAddress(ipv4: 1, port: 1)
  private let second = SocketAddress(ipv4: 2, port: 2)

  @Test("UDP goes first, TCP 250 ms later, WebSocket 500 ms after that, addresses one by one")
  func automatic() {
    let plan = DialPlan(addresses: [first, second], policy: .automatic, reachesUDP: true)
    #expect(
      plan.attempts == [
        DialPlan.Attempt(delay: .zero, address: first, kind: .udp),
        DialPlan.Attempt(delay: .milliseconds(50), address: second, kind: .udp),
        DialPlan.Attempt(delay: .milliseconds(250), address: first, kind: .tcp),
        DialPlan.Attempt(delay: .milliseconds(300), address: second, kind: .tcp),
        DialPlan.Attempt(delay: .milliseconds(750), address: first, kind: .webSocket),
        DialPlan.Attempt(delay: .milliseconds(800), address: second, kind: .webSocket),
      ])
  }

  @Test("where UDP has no road, TCP starts at once")
  func withoutRoute() {
    let plan = DialPlan(addresses: [first], policy: .automatic, reachesUDP: false)
    #expect(plan.attempts.map(\.kind) == [.udp, .tcp, .webSocket])
    #expect(plan.attempts.map(\.delay) == [.zero, .zero, .milliseconds(500)])
  }

  @Test("a kind that is the only one starts at once")
  func restricted() {
    let plan = DialPlan(addresses: [first], policy: .only(.tcp), reachesUDP: true)
    #expect(plan.attempts == [DialPlan.Attempt(delay: .zero, address: first, kind: .tcp)])
  }
}
