import QuicTransport
import Testing

@testable import HolePunch

@Suite("Peer outlook")
struct PeerOutlookTests {
  typealias Kind = PeerOutlook.PeerKind

  private static let home = Kind.home.report
  private static let random = Kind.random.report
  private static let mapped = SocketAddress("203.0.113.9", port: 7_000)

  private func verdicts(
    _ report: NATReport, mapped: SocketAddress? = nil
  ) -> [PeerOutlook.Verdict] {
    PeerOutlook.all(report, mapped: mapped).map(\.verdict)
  }

  @Test("the table of the strategy, from one side")
  func table() {
    #expect(verdicts(Self.home) == [.yes, .yes, .likely, .likely, .no])
    #expect(verdicts(Self.random) == [.yes, .likely, .no, .no, .no])
    #expect(verdicts(Kind.open.report) == [.yes, .yes, .yes, .yes, .no])
    #expect(verdicts(Kind.blocked.report) == [.no, .no, .no, .no, .no])
    #expect(verdicts(Kind.regular.report) == [.yes, .likely, .likely, .no, .no])
  }

  @Test("a mapped port lets everybody in, unless it is of a private network or UDP is blocked")
  func mappedPort() {
    #expect(verdicts(Self.random, mapped: Self.mapped) == [.yes, .yes, .yes, .yes, .no])
    for text in ["100.64.0.7", "100.127.255.1", "10.0.0.1", "192.168.1.1", "169.254.1.1"] {
      let verdicts = verdicts(Self.random, mapped: SocketAddress(text, port: 7_000))
      #expect(verdicts == [.yes, .likely, .no, .no, .no], "\(text)")
    }
    #expect(verdicts(Kind.blocked.report, mapped: Self.mapped).allSatisfy { $0 == .no })
    #expect(SocketAddress("100.128.0.1", port: 1)?.isPublic == true)
    #expect(SocketAddress("2001:db8::1", port: 1)?.isPublic == true)
    #expect(SocketAddress("fd00::1", port: 1)?.isPublic == false)
  }

  @Test("what is not known is not promised")
  func unknown() {
    #expect(verdicts(NATReport()) == [.unknown, .unknown, .unknown, .unknown, .no])
  }
}
