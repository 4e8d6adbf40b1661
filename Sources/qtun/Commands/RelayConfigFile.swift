internal import Tunnel

/// The file of `qtun relay --config`: one option a line, its long name and, behind a blank, its value.
///
///     # who may use it
///     allow /etc/qtun/friends
///     limit nodes=2000
///     name relay.example.org
///
/// It is read as if its lines stood on the command line, whose own options go before them.
enum RelayConfigFile {
  /// The settings with those of the file, if there is one.
  static func settings(_ written: RelaySettings) throws(Failure) -> RelaySettings {
    guard let config = written.config else { return written }
    let bytes: [UInt8]
    do throws(AccessFileError) {
      // Others may read it, but whoever may write it decides who comes in.
      bytes = try PrivateFile.contents(config.file, sizeMax: sizeMax, forbidden: 0o022)
    } catch {
      throw Failure(AccessProblem(.settings, path: config.file, error: error))
    }
    let words = try words(
      String(decoding: bytes, as: UTF8.self), file: config.file, except: config.given)
    let all: RelaySettings
    do throws(UsageError) {
      let invocation = try CommandLineParser.parse(
        config.arguments + words, environment: .process)
      guard case .relay(let settings) = invocation.action else { return written }
      all = settings
    } catch {
      // Each line is right by itself.
      let complaint = error.complaints[0]
      throw Failure(.configuration, "\(config.file): \(complaint.cause)", fix: complaint.fix)
    }
    if let complaint = all.listening.complaint {
      throw Failure(.configuration, "\(config.file): \(complaint.cause)", fix: complaint.fix)
    }
    return all
  }

  /// The lines as words of a command line.
  static func words(
    _ text: String, file: String, except given: Set<String>
  ) throws(Failure) -> [String] {
    var words: [String] = []
    var seen: Set<String> = []
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let line = trimmed(line)
      guard !line.isEmpty, !line.hasPrefix("#") else { continue }
      let name = String(line.prefix { !isBlank($0) })
      let value = trimmed(line.dropFirst(name.count))
      do throws(Complaint) {
        let spec = try spec(of: name, value: value)
        guard seen.insert(name).inserted || spec.isRepeatable else {
          throw Complaint(cause: "\(name) is there twice", fix: "keep one of them")
        }
        if given.contains(name) { continue }
        words.append(spec.placeholder == nil ? "--\(name)" : "--\(name)=\(value)")
      } catch {
        throw Failure(
          .configuration, "line \(index + 1) of \(file): \(error.cause)", fix: error.fix)
      }
    }
    return words
  }

  private static func spec(of name: String, value: Substring) throws(Complaint) -> OptionSpec {
    let known = Grammar.relay.options.filter { $0.long != Grammar.relayConfig.spec.long }
    guard let spec = known.first(where: { $0.long == name }) else {
      let nearest = Spelling.nearest(to: name, among: known.map(\.long))
      throw Complaint(
        cause: "\(ValueProblem.shown(name)) is not an option of a relay",
        fix: nearest.map { "did you mean \($0)?" }
          ?? "choose one of \(known.map(\.long).joined(separator: ", "))")
    }
    if spec.placeholder == nil {
      guard value.isEmpty else {
        throw Complaint(cause: "\(name) takes no value", fix: "leave the rest of the line out")
      }
      return spec
    }
    do throws(ValueProblem) {
      try spec.check(String(value))
    } catch {
      throw Complaint(cause: "\(name): \(error.cause)", fix: error.fix)
    }
    return spec
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
  }

  private static func isBlank(_ character: Character) -> Bool {
    character == " " || character == "\t" || character == "\r"
  }

  /// Some thousand lines.
  private static let sizeMax = 64 * 1024
}

extension Complaint: Error {}

// MARK: - Settings

extension RelaySettings {
  /// Who may use the relay.
  ///
  /// - Throws: where nobody may.
  func access() throws(Failure) -> RelayAccess {
    let tokens = TokenFile(besideIdentity: identityFile)
    let access = RelayAccess(tokens: tokens, allowed: try .init(allowed), isOpen: isOpen)
    guard !isOpen, allowed.isEmpty else { return access }
    let list: TokenList
    do throws(AccessFileError) {
      list = try tokens.loadOrEmpty()
    } catch {
      throw Failure(AccessProblem(.tokens, path: tokens.path, error: error))
    }
    guard !list.tokens.isEmpty else {
      throw Failure(
        .configuration, "nobody may use this relay: it has no tokens (\(tokens.path)) and no list",
        fix:
          "make a token with `qtun token add`, name identities with --allow, or let everybody in "
          + "with --open")
    }
    return access
  }

  /// Who that is, for the log.
  var audience: String {
    if isOpen { return "open to everybody" }
    return allowed.isEmpty ? "for holders of tokens" : "for holders of tokens and those on the list"
  }

  /// What is different in `next`, one clause each.
  ///
  /// - Throws: for what cannot change while the relay runs.
  func changes(to next: RelaySettings) throws(Failure) -> [String] {
    guard listen == next.listen, identityFile == next.identityFile, cores == next.cores else {
      throw Failure(
        .configuration, "listen, identity and cores cannot change while the relay runs",
        fix: "restart it, or take the old values back")
    }
    var fixed = (now: listening, next: next.listening)
    (fixed.now.names, fixed.next.names) = ([], [])
    guard fixed.now == fixed.next else {
      throw Failure(
        .configuration,
        "ports, http, tls, certificate and state cannot change while the relay runs",
        fix: "restart it, or take the old values back")
    }
    var changes: [String] = []
    func note<Value: Equatable>(
      _ name: String, _ old: Value, _ new: Value, _ shown: (Value) -> String
    ) {
      if old != new { changes.append("\(name): \(shown(old)) -> \(shown(new))") }
    }
    note("name", name, next.name) { $0?.description ?? "none" }
    note("names", listening.patterns, next.listening.patterns) { $0 }
    note("open", isOpen, next.isOpen) { $0 ? "yes" : "no" }
    note("admin", admin, next.admin) { $0?.description ?? "none" }
    note("drain", drain, next.drain, Format.exact)
    for entry in allowed where !next.allowed.contains(entry) {
      changes.append("allow: \(entry.text) -> none")
    }
    for entry in next.allowed where !allowed.contains(entry) {
      changes.append("allow: none -> \(entry.text)")
    }
    for limit in RelayLimit.allCases {
      note("limit \(limit.rawValue)", limits[limit], next.limits[limit], limit.text)
    }
    return changes
  }
}

extension AllowEntry {
  /// As it is written.
  var text: String {
    switch self {
    case .identity(let text), .file(let text): text
    }
  }
}
