import Testing

@testable import qtun

@Suite("VersionReport")
struct VersionReportTests {
  private let report = VersionReport(
    version: "0.1.0", protocolName: "qtun/1",
    libraries: [.init(name: "ngtcp2", version: "1.11.0"), .init(name: "gnutls", version: "3.7.9")])

  @Test("one line for people")
  func text() {
    #expect(report.text == "qtun 0.1.0  qtun/1  ngtcp2 1.11.0  gnutls 3.7.9")
  }

  @Test("one object for machines")
  func json() {
    #expect(
      report.json == #"{"version":"0.1.0","protocol":"qtun/1","#
        + #""libraries":{"ngtcp2":"1.11.0","gnutls":"3.7.9"}}"#)
  }
}
