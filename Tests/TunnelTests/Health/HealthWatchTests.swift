import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Checks of a target")
struct HealthWatchTests {
  private let loop = SimLoop()
  private let targets: SimTargets
  private let journal = Journal()

  init() {
    targets = SimTargets(loop: loop)
  }

  private func watch(
    _ question: HealthCheck.Question, addresses: [SocketAddress] = [SimTargets.web],
    proxyProtocol: ProxyProtocol? = nil, _ configure: (inout HealthCheck) -> Void = { _ in }
  ) throws -> HealthWatch {
    var check = HealthCheck(question)
    configure(&check)
    var service = Service(name: "web", target: .tcp(addresses))
    service.proxyProtocol = proxyProtocol
    let watch = try #require(
      HealthWatch(
        service: "web", route: service.route, check: check, loop: loop, connect: targets.connect,
        onEvent: journal.note))
    watch.start()
    return watch
  }

  private var verdicts: [Bool] {
    journal.events.compactMap { if case .targetHealth(_, let isUp, _) = $0 { isUp } else { nil } }
  }

  /// What the target answers to whoever asks.
  private func answer(_ text: String) {
    targets.onAccept = { $0.send(Array(text.utf8)) }
  }

  @Test("a target that takes connections is up, at once and for as long as it does")
  func tcp() throws {
    let watch = try watch(.tcp)
    #expect(watch.report.isUp == nil && !watch.isUp)
    loop.run(for: .milliseconds(100))
    #expect(watch.isUp && verdicts == [true])
    loop.run(for: .seconds(60))
    #expect(verdicts == [true] && targets.attempts.count == 13)
    #expect(targets.programs.allSatisfy { $0.isOver })
    watch.stop()
    loop.run(for: .seconds(60))
    #expect(targets.attempts.count == 13)
  }

  @Test("one that stops answering is told of within the documented time", arguments: [0, 1, 4_900])
  func goesDown(milliseconds: Int) throws {
    let watch = try watch(.tcp)
    loop.run(for: .seconds(20) + .milliseconds(milliseconds))
    targets.behaviours[SimTargets.web] = .silent
    let began = loop.now
    #expect(loop.run(for: .seconds(60)) { !watch.isUp })
    #expect(loop.now - began <= HealthCheck(.tcp).timeToDown)
    #expect(watch.report.problem == .tooSlow)
    targets.behaviours[SimTargets.web] = .refuses(ECONNREFUSED)
    loop.run(for: .seconds(10))
    #expect(watch.report.problem == .unreachable(ECONNREFUSED))
    targets.behaviours.removeAll()
    let back = loop.now
    #expect(loop.run(for: .seconds(60)) { watch.isUp })
    #expect(loop.now - back <= .seconds(10) && verdicts == [true, false, true])
    #expect(targets.failing.allSatisfy { $0.isReleased })
    watch.stop()
  }

  @Test(
    "the status of an HTTP answer decides",
    arguments: [
      ("HTTP/1.1 200 OK\r\n", nil), ("HTTP/1.0 399 x\r\n", nil),
      ("HTTP/1.1 404 Not Found\r\n", HealthProblem.status(404)),
      ("HTTP/1.1 500 x\r\n", .status(500)), ("SSH-2.0-OpenSSH\r\n", .notHTTP),
      ("HTTP/1.1 2x0 OK\r\n", .notHTTP), ("HTTP/1.1", .tooSlow), ("", .tooSlow),
    ])
  func http(text: String, problem: HealthProblem?) throws {
    answer(text)
    let watch = try watch(.http(path: "/health?a=b"))
    loop.run(for: .seconds(3))
    #expect(watch.isUp == (problem == nil) && watch.report.problem == problem)
    let heard = String(decoding: try #require(targets.programs.first).received, as: UTF8.self)
    #expect(heard.hasPrefix("GET /health?a=b HTTP/1.1\r\nHost: localhost\r\n"))
    #expect(heard.hasSuffix("\r\n\r\n"))
    watch.stop()
  }

  @Test("an answer may come in pieces, and an end before it is none")
  func pieces() throws {
    targets.onAccept = { [loop] program in
      for (index, byte) in "HTTP/1.1 204 No Content".utf8.enumerated() {
        let timer = LoopTimer { _ in program.send([byte]) }
        loop.schedule(timer, at: loop.now + .milliseconds(Int64(index)))
      }
    }
    let good = try watch(.http(path: "/"))
    loop.run(for: .seconds(1))
    #expect(good.isUp)
    good.stop()
    targets.onAccept = { $0.send([], finishing: true) }
    let bad = try watch(.http(path: "/"))
    loop.run(for: .seconds(1))
    #expect(bad.report.problem == .noAnswer)
    bad.stop()
  }

  @Test("a target that wants to know where visitors come from hears that this is none")
  func proxyProtocol() throws {
    let watch = try watch(.http(path: "/"), proxyProtocol: .v1)
    loop.run(for: .milliseconds(100))
    let heard = try #require(targets.programs.first).received
    #expect(heard.starts(with: Array("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n".utf8)))
    watch.stop()
  }

  @Test("a check that takes all of its time does not delay the next; all addresses share it")
  func interval() throws {
    targets.behaviours = [SimTargets.web: .refuses(ECONNREFUSED), SimTargets.spare: .silent]
    let watch = try watch(.tcp, addresses: [SimTargets.web, SimTargets.spare]) {
      ($0.interval, $0.timeout) = (.seconds(1), .seconds(1))
    }
    loop.run(for: .milliseconds(9_500))
    #expect(targets.attempts.count == 20 && watch.report.problem == .tooSlow)
    watch.stop()
    #expect(targets.failing.allSatisfy { $0.isReleased })
  }
}
