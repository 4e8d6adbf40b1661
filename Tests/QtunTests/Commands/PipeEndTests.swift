import QuicTransport
import Testing
import Tunnel

@testable import qtun

@Suite("What ends a pipe", .timeLimit(.minutes(1)))
struct PipeEndTests {
  @Test("a session that is over before it has taken the pipe's flow")
  func session() async {
    let end = await PipeEnd.first(of: Wakeups(), session: { .lost(.idleTimeout) }, on: nil)
    #expect(end == .session)
  }

  @Test("a signal, while the session lives")
  func signal() async {
    let wakeups = Wakeups()
    wakeups.note(.dialled)
    wakeups.note(.signal(.interrupt))
    #expect(await PipeEnd.first(of: wakeups, session: nil, on: nil) == .signal(.interrupt))
  }
}
