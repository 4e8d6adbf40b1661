import Glibc
import QuicTransport
import Testing
import Tunnel

@testable import qtun

@Suite("Failure")
struct FailureTests {
  private let low = HostPort(host: .ipv4("127.0.0.1"), port: 80)
  private let high = HostPort(host: .ipv6("::1"), port: 8080)

  @Test("the text has the cause, the details and the fix")
  func text() {
    let failure = Failure.identityMismatch(expected: "aa:bb", presented: "cc:\u{1B}")
    #expect(
      failure.text == """
        qtun: the peer is not the one that this ticket was made by
          expected: aa:bb
          presented: cc:\\u{1b}
          fix: ask for a fresh ticket; if the peer kept its identity, beware of an impostor
        """)
    #expect(failure.exitCode == .identityMismatch)
  }

  @Test("the JSON is one line with the exit status")
  func json() {
    let failure = Failure(.refused, "no", fix: "ask", details: [.peer("p")])
    #expect(
      failure.json == #"{"event":"error","exit_code":4,"exit_name":"refused","message":"no","#
        + #""fix":"ask","fields":{"peer":"p"}}"#)
  }

  @Test("an address that cannot be listened on has its cause and its fix")
  func cannotBind() {
    let inUse = Failure.cannotBind(high, errno: EADDRINUSE)
    #expect(inUse.exitCode == .cannotBind)
    #expect(inUse.cause == "cannot listen on [::1]:8080: another program holds this port")
    let denied = Failure.cannotBind(low, errno: EACCES)
    #expect(
      denied.cause == "cannot listen on 127.0.0.1:80: ports under 1024 need a permission")
    #expect(
      Failure.cannotBind(high, errno: EACCES).cause == "cannot listen on [::1]:8080: not permitted")
    #expect(Failure.cannotBind(high, errno: EMFILE).cause.hasSuffix(": Too many open files"))
    for number in [EADDRNOTAVAIL, EAFNOSUPPORT] {
      #expect(!Failure.cannotBind(high, errno: number).fix.isEmpty)
    }
  }

  @Test("a peer that answers and does not greet is none that does not answer")
  func greeting() {
    let problems: [(TunnelError.GreetingProblem, String)] = [
      (.rulesBroken("unexpected stream"), "broke the protocol: unexpected stream"),
      (.rulesBrokenByUs("no"), "says that we broke the protocol: no"),
      (.notInTime, "did not greet us in time"),
      (.connectionLost(.idleTimeout), "the connection ended before its greeting"),
    ]
    for (problem, words) in problems {
      let failure = Failure(TunnelError.greetingBroken(problem))
      #expect(failure.exitCode == .refused)
      #expect(failure.cause.hasPrefix("the peer answered, and ") && failure.cause.contains(words))
      #expect(failure.fix.contains("qtun version"))
    }
  }
}
