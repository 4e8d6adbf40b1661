import Testing

@testable import qtun

@Suite("LiveStatus")
struct LiveStatusTests {
  private let status = TunnelStatus(
    phase: .connected, path: "direct 192.0.2.7:40001", rtt: .microseconds(12_300), flows: 3,
    bytesSent: 150_000, bytesReceived: 42_500_000, interval: .seconds(1))

  @Test("the line says how the tunnel is connected and how it is doing")
  func text() {
    #expect(
      status.text
        == "connected  direct 192.0.2.7:40001  rtt 12.3 ms  3 flows  up 1.20 Mbit/s  "
        + "down 340 Mbit/s")
    var failing = status
    failing.targetsDown = 1
    #expect(failing.text == status.text + "  1 target down")
  }

  @Test("before there is a session there are no figures")
  func waiting() {
    let waiting = TunnelStatus(
      phase: .waiting, path: nil, rtt: nil, flows: 0, bytesSent: 0, bytesReceived: 0,
      interval: .zero)
    #expect(waiting.text == "waiting")
  }

  @Test("visitors without a session are served, and requests counted")
  func serving() {
    var serving = TunnelStatus(
      phase: .serving, path: nil, rtt: nil, flows: 2, bytesSent: 0, bytesReceived: 125,
      interval: .seconds(1))
    serving.requests = 1_234
    #expect(
      serving.text == "serving  2 flows  up 0.00 bit/s  down 1.00 kbit/s  1234 requests")
  }

  @Test("while draining it says how to end at once")
  func draining() {
    let draining = TunnelStatus(
      phase: .draining, path: nil, rtt: nil, flows: 1, bytesSent: 0, bytesReceived: 0,
      interval: .seconds(1))
    #expect(
      draining.text
        == "draining  1 flow  up 0.00 bit/s  down 0.00 bit/s  Ctrl-C again ends at once")
  }

  @Test("it shows on a terminal only, and neither in quiet nor in JSON runs")
  func enabling() throws {
    let terminal = Terminal(isColored: false) { 80 }
    let cases: [(Terminal?, GlobalSettings, Bool)] = [
      (terminal, GlobalSettings(), true), (nil, GlobalSettings(), false),
      (terminal, GlobalSettings(isQuiet: true), false),
      (terminal, GlobalSettings(isJSON: true), false),
      (terminal, GlobalSettings(logFormat: .json), false),
    ]
    for (terminal, settings, isShown) in cases {
      let pipe = try Pipe()
      let console = Console(descriptor: pipe.writeEnd, terminal: terminal)
      let live = LiveStatus(console: console, settings: settings)
      #expect(live.isShown == isShown)
      live.show(status)
      live.clear()
      #expect(pipe.readAvailable().isEmpty == !isShown)
    }
  }
}
