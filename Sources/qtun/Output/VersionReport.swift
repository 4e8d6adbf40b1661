/// What `qtun version` prints.
struct VersionReport: Equatable, Sendable {
  /// The version of qtun.
  let version: String
  /// The application protocol that it speaks, which both sides must share.
  let protocolName: String
  /// The libraries in use, with the versions found at run time.
  let libraries: [Library]

  /// One library.
  struct Library: Equatable, Sendable {
    /// Its name in lower case.
    let name: String
    /// Its version.
    let version: String
  }

  /// One line: `qtun 0.1.0  qtun/1  ngtcp2 1.11.0  gnutls 3.7.9`.
  var text: String {
    (["qtun \(version)", protocolName] + libraries.map { "\($0.name) \($0.version)" })
      .joined(separator: "  ")
  }

  /// The same as one JSON object.
  var json: String {
    var writer = JSONWriter()
    writer.object { report in
      report.member("version", version)
      report.member("protocol", protocolName)
      report.object("libraries") { members in
        for library in libraries { members.member(library.name, library.version) }
      }
    }
    return writer.text
  }
}
