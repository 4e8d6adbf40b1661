internal import QuicTransport
internal import Tunnel

/// `qtun token add|list|revoke`: works on the list of tokens beside the relay's key file; a relay that
/// runs notices by itself.
struct TokenCommand {
  let settings: TokenSettings

  func run(_ global: GlobalSettings, console: Console) throws(Failure) {
    switch settings.action {
    case .add(let scope, let expires, let label):
      try add(scope, expires: expires, label: label, global, console)
    case .list: try list(global)
    case .revoke(let name): try revoke(name, global, console)
    }
  }

  private var file: TokenFile { TokenFile(besideIdentity: settings.identityFile) }

  // MARK: Add

  private func add(
    _ scope: RelayScope, expires: Expiry?, label: String?, _ global: GlobalSettings,
    _ console: Console
  ) throws(Failure) {
    // The token names the relay's key, so there has to be one.
    let identity = try SessionSettings(identityFile: settings.identityFile)
      .loadIdentity(console: console, global: global)
    let token = RelayToken(relay: identity.publicKey)
    let now = Timestamp.now()
    let created = UInt64(max(0, now.seconds))
    let record = TokenList.Record(
      token, scope: scope, label: label ?? "", created: created,
      expiry: expires.map { $0.time(now: now) ?? created } ?? 0)
    try change { list throws(AccessFileError) in try list.add(record, now: created) }
    if !global.isQuiet, global.logFormat == .text {
      console.printLine(
        "made token \(record.id); on the sharing machine save the next line in a file and run:\n\n"
          + "  qtun share 3000 --rendezvous \(identity.publicKey)@HOST --token-file FILE\n")
    }
    guard global.isJSON else { return try StandardOutput.writeLine(token.text) }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "token")
      result.member("token", token.text)
      result.member("id", record.id.description)
      result.member("relay", identity.publicKey.description)
    }
    try StandardOutput.writeLine(writer.text)
  }

  // MARK: List

  private func list(_ global: GlobalSettings) throws(Failure) {
    let now = UInt64(max(0, Timestamp.now().seconds))
    for token in try read().tokens {
      let row = TokenRow(token: token, now: now)
      try StandardOutput.writeLine(global.isJSON ? row.json : row.text)
    }
  }

  // MARK: Revoke

  private func revoke(
    _ name: String, _ global: GlobalSettings, _ console: Console
  ) throws(Failure) {
    let found = try read().tokens.filter { $0.id.description == name || $0.label == name }
    guard let token = found.first else {
      throw Failure(
        .configuration, "there is no such token in \(file.path)",
        fix: "`qtun token list` shows those that there are")
    }
    guard found.count == 1 else {
      throw Failure(
        .configuration, "\(found.count) tokens have this name",
        fix: "write the number of one: \(found.map(\.id.description).joined(separator: ", "))")
    }
    try change { list throws(AccessFileError) in _ = list.revoke(token.id) }
    if !global.isQuiet, global.logFormat == .text {
      console.printLine("revoked \(token.id); its holders have to leave within five seconds")
    }
    guard global.isJSON else { return }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "revoked")
      result.member("id", token.id.description)
    }
    try StandardOutput.writeLine(writer.text)
  }

  // MARK: File

  private func read() throws(Failure) -> TokenList {
    do throws(AccessFileError) {
      return try file.loadOrEmpty()
    } catch {
      throw Failure(AccessProblem(.tokens, path: file.path, error: error))
    }
  }

  private func change(
    _ body: (inout TokenList) throws(AccessFileError) -> Void
  ) throws(Failure) {
    do throws(AccessFileError) {
      try file.update(patience: .seconds(5), body)
    } catch {
      throw Failure(AccessProblem(.tokens, path: file.path, error: error))
    }
  }
}

/// One token of `qtun token list`.
struct TokenRow {
  let token: TokenList.Record
  /// In seconds since 1970.
  let now: UInt64

  /// Columns between blanks, the label last because it may hold some.
  var text: String {
    let columns = [
      token.id.description, token.status(at: now).rawValue, Timestamp.text(seconds: token.created),
      TicketFacts.time(token.expiry) ?? "never", rate ?? "*", allowed.joined(separator: ","),
      token.label.isEmpty ? "-" : token.label,
    ]
    return TerminalText.escaped(columns.joined(separator: "  "))
  }

  /// The same as one JSON object on one line.
  var json: String {
    var writer = JSONWriter()
    writer.object { row in
      row.member("event", "token")
      row.member("id", token.id.description)
      row.member("status", token.status(at: now).rawValue)
      row.member("created", Timestamp.text(seconds: token.created))
      row.member("expires", TicketFacts.time(token.expiry))
      row.member("bytes_per_second", token.scope.bytesPerSecond.map { Int64($0) })
      row.array("allowed") { list in
        for word in allowed { list.element(word) }
      }
      row.member("label", token.label)
    }
    return writer.text
  }

  private var rate: String? {
    token.scope.bytesPerSecond.map { Format.rate(bytes: UInt64($0), in: .seconds(1)) }
  }

  private var allowed: [String] {
    let scope = token.scope
    let ports = scope.ports.map { range in
      range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
    }
    return (scope.relays ? ["relay"] : []) + ports + scope.names
  }
}
