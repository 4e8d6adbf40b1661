import CNgtcp2
import Glibc
import Testing

@testable import QuicTransport

/// ngtcp2 1.11 writes transport parameters beyond a 1024-byte buffer when it writes qlog
/// (CVE-2026-40170); so it never does.
@Suite("F4: qlog stays off")
struct F4Tests {
  @Test("neither role's settings have a qlog writer")
  func settings() {
    let id = ConnectionID.random(shard: 0)
    let server = ConnectionRole.Server(
      version: 1, clientID: id, destinationID: id, originalID: id, cameThroughRetry: false,
      token: [])
    let roles: [ConnectionRole] = [.client(.init(version: .v1, token: [])), .server(server)]
    for role in roles {
      let configuration = NgConfiguration(
        TransportSettings(), role: role, scid: id, now: Instant(nanoseconds: 1))
      let result = configuration.withPointers { settings, _ in
        #expect(settings.pointee.qlog_write == nil)
        return 7
      }
      #expect(result == 7)
    }
  }

  @Test("no source file mentions the writer")
  func sources() throws {
    var files = 0
    try visit(Fixture.packageRoot + "Sources") { path, text in
      files += 1
      #expect(!text.contains("qlog_write"), "\(path)")
    }
    #expect(files > 30)
  }

  /// Reads every file below `folder`.
  private func visit(_ folder: String, _ body: (String, String) -> Void) throws {
    let directory = try #require(opendir(folder), "\(folder)")
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      let path = folder + "/" + name
      if Int32(entry.pointee.d_type) == Int32(DT_DIR) {
        try visit(path, body)
      } else {
        body(path, String(decoding: Fixture.bytes(at: path) ?? [], as: UTF8.self))
      }
    }
  }
}
