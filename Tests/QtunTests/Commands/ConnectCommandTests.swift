import QuicTransport
import Testing

@testable import Tunnel
@testable import qtun

@Suite("Connect command")
struct ConnectCommandTests {
  @Test("the name that a share chose for a service cannot steer the terminal")
  func hostileName() {
    let address = LocalAddress.tcp(SocketAddress.loopbackIPv4.with(port: 80))
    let hostile = OpenedService(name: "\u{1b}[2Jweb\n\u{202e}", address: address, isProxy: false)
    let line = ConnectCommand.line(hostile, of: 2)
    #expect(line == "\\u{1b}[2Jweb\\u{a}\\u{202e} 127.0.0.1:80")
    let plain = OpenedService(name: "", address: address, isProxy: false)
    #expect(ConnectCommand.line(plain, of: 1) == "127.0.0.1:80")
    #expect(ConnectCommand.line(plain, of: 2) == "- 127.0.0.1:80")
  }
}
