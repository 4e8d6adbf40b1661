import QuicTransport
import Testing

@testable import qtun

@Suite("PunchTemplate")
struct PunchTemplateTests {
  private static let result = PunchResult(
    local: SocketAddress.any.with(port: 7_777), remote: SocketAddress(ipv4: 0xc000_0201, port: 5),
    source: SocketAddress(ipv4: 0x0a00_0001, port: 7_777))

  @Test("netpunch's line, with n/a for every address")
  func standard() {
    #expect(
      PunchTemplate.standard.render(Self.result.text)
        == "LADDR/LHOST/LPORT/RADDR/RHOST/RPORT: [::]:7777 n/a 7777 192.0.2.1:5 192.0.2.1 5\n")
  }

  @Test(
    "what Go's text/template makes of it",
    arguments: [
      ("", ""), ("plain }} text", "plain }} text"), (#"{{.RemoteIP}}\n"#, #"192.0.2.1\n"#),
      (#"{{ .RemotePort }}{{"\n"}}"#, "5\n"), ("{{`a}}b`}}", "a}}b"),
      (#"{{"}}\"\\\t"}}"#, "}}\"\\\t"), ("a {{- .RemotePort -}} \n b", "a5b"),
      ("a {{- /* gone */ -}} b", "ab"), ("a {{/* gone */}} b", "a  b"),
      (
        "{{.LocalAddr}}|{{.LocalIP}}|{{.LocalPort}}|{{.RemoteAddr}}",
        "[::]:7777|n/a|7777|192.0.2.1:5"
      ),
    ])
  func rendered(template: String, expected: String) throws {
    #expect(try PunchTemplate(template).render(Self.result.text) == expected)
  }

  @Test(
    "what is not understood is an error, not a wrong line",
    arguments: [
      "{{", "{{.RemoteIP", "{{.Remote}}", "{{.remoteip}}", "{{printf .RemoteIP}}", "{{}}", "{{-3}}",
      "{{if .RemoteIP}}", #"{{"\q"}}"#, #"{{"a" "b"}}"#, "{{.RemoteIP .LocalIP}}",
    ])
  func refused(template: String) {
    #expect(throws: PunchTemplate.Problem.self) { try PunchTemplate(template) }
  }

  @Test("-arg is one word, -fields several, -raw as it is, in the order given")
  func words() throws {
    let program = try PunchProgram(
      name: "x",
      arguments: [
        .template("a b {{.RemotePort}}"), .raw("{{.RemotePort}} c"),
        .fields("  --ip {{.RemoteIP}}\t-p  {{.RemotePort}} "), .template(""),
      ])
    #expect(
      program.words(Self.result.text)
        == ["a b 5", "{{.RemotePort}} c", "--ip", "192.0.2.1", "-p", "5", ""])
  }
}
