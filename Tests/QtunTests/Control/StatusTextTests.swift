import QuicTransport
import Testing

@testable import Tunnel
@testable import qtun

@Suite("Status")
struct StatusTextTests {
  @Test("a session with its flows, from the report to the lines")
  func lines() throws {
    let json = StatusJSON(report: Self.report) { json in
      json.member("role", "connect")
      json.array("services") { json in
        json.object {
          $0.member("name", "web")
          $0.member("address", "127.0.0.1:80")
        }
      }
    }
    let status = try #require(
      JSONValue(json.text(process: 42, uptime: .seconds(3_700)).utf8))
    #expect(
      StatusText(status: status).text == """
        connect  process 42  up 1h 01m
          web  127.0.0.1:80
          health  web  down  for 8.00 s  it answered with status 500
          relay  192.0.2.2:443  carries  rtt 12.0 ms  to the peer by it 34.0 ms
          relay  192.0.2.3:443  away
          direct tcp 192.0.2.1:443  rtt 20.0 ms  loss 1.00 %  up 1m 30s
            no answer for 4.00 s
            not better: no answer over udp
            peer \(Self.peer)
            tcp sent 3 B, received 4 B  udp sent 1.00 KiB, received 2.00 KiB  moved 1 time  \
        last data proven 5.00 s ago
            flow 4  web  open 7.00 s  sent 10 B  received 20 B
            and 1 more flow
        """)
  }

  @Test("an answer of nobody's making is shown without harm")
  func hostile() throws {
    let answer = """
      {"role":"\\u001b[2J","services":[{"name":"a\\nb","address":7},8],"sessions":[9,{"rtt_us":-1,\
      "flows":[{"service":"\\u202e"}],"carriers":{"\\u001b":{"bytes_sent":-4}}}]}
      """
    let status = try #require(JSONValue(answer.utf8))
    let text = StatusText(status: status).text
    #expect(!text.unicodeScalars.contains { $0 != "\n" && TerminalText.isUnsafe($0) })
    #expect(StatusText(status: .null).text.isEmpty || !StatusText(status: .null).text.contains("("))
  }

  private static let peer = PublicKey([UInt8](repeating: 5, count: 32))?.description ?? ""

  private static var report: TunnelReport {
    var udp = CarrierBytes()
    (udp.sent, udp.received) = (1_024, 2_048)
    var tcp = CarrierBytes()
    (tcp.sent, tcp.received) = (3, 4)
    let session = SessionReport(
      peer: PublicKey([UInt8](repeating: 5, count: 32)),
      path: SessionPath(carrier: .tcp, remote: SocketAddress(ipv4: 0xc000_0201, port: 443)),
      obstacle: .noAnswer, age: .seconds(90), rtt: .milliseconds(20), packetsSent: 100,
      packetsLost: 1, carriers: [.udp: udp, .tcp: tcp], switches: 1, lastProven: .seconds(5),
      silence: .seconds(4), flowsOpen: 2,
      flows: [
        FlowStatus(
          number: 4, service: "web", age: .seconds(7), bytesSent: 10, bytesReceived: 20)
      ])
    var report = TunnelReport(totals: TunnelTotals(), sessions: [session], isDialling: false)
    report.health = [
      HealthReport(service: "web", isUp: false, problem: .status(500), age: .seconds(8))
    ]
    if let key = PublicKey([UInt8](repeating: 6, count: 32)) {
      report.relays = [
        RelayReport(
          key: key, address: SocketAddress(ipv4: 0xc000_0202, port: 443), standing: .carries,
          roundTrip: .milliseconds(12), sessionRoundTrip: .milliseconds(34)),
        RelayReport(
          key: key, address: SocketAddress(ipv4: 0xc000_0203, port: 443), standing: .away),
      ]
    }
    return report
  }
}
