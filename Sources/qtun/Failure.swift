import Glibc
internal import Tunnel

/// The reason why a run of `qtun` ends early, in words for the user.
///
/// Every layer below throws its own typed error; the command that runs it translates the error
/// into a `Failure`, the only kind that `main` prints.
struct Failure: Error, Equatable, Sendable {
  /// The status that the process ends with.
  let exitCode: ExitCode
  /// What went wrong and why: one sentence, lower-case start, no full stop.
  let cause: String
  /// What the user can do about it: one sentence of the same form.
  let fix: String
  /// Facts that help to act on it, such as two fingerprints to compare.
  let details: [LogField]

  /// Creates a failure; every one has to offer a fix.
  init(_ exitCode: ExitCode, _ cause: String, fix: String, details: [LogField] = []) {
    self.exitCode = exitCode
    self.cause = cause
    self.fix = fix
    self.details = details
  }

  /// The lines for people, without the last newline; text from outside is escaped.
  var text: String {
    var lines = "qtun: \(TerminalText.escaped(cause))"
    for detail in details {
      lines += "\n  \(detail.key.rawValue): \(TerminalText.escaped(detail.value.text))"
    }
    return lines + "\n  fix: \(TerminalText.escaped(fix))"
  }

  /// The same as one JSON object on one line.
  var json: String {
    var writer = JSONWriter()
    writer.object { failure in
      failure.member("event", "error")
      failure.member("exit_code", Int64(exitCode.rawValue))
      failure.member("exit_name", exitCode.name)
      failure.member("message", cause)
      failure.member("fix", fix)
      failure.object("fields") { fields in
        for detail in details { detail.write(to: &fields) }
      }
    }
    return writer.text
  }
}

// MARK: - Failures that several commands share

extension Failure {
  /// A local address that could not be listened on; `number` is the `errno` of the attempt.
  static func cannotBind(_ address: HostPort, errno number: Int32) -> Failure {
    let what = "cannot listen on \(address)"
    switch number {
    case EADDRINUSE:
      return Failure(
        .cannotBind, "\(what): another program holds this port",
        fix: "choose another port, or 0 for any free one; `ss -lnp` shows who holds it")
    case EACCES, EPERM:
      let isLow = address.port > 0 && address.port < 1024
      return Failure(
        .cannotBind,
        isLow ? "\(what): ports under 1024 need a permission" : "\(what): not permitted",
        fix: isLow
          ? "choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE to qtun"
          : "check what confines this process, such as a container or a security module")
    case EADDRNOTAVAIL:
      return Failure(
        .cannotBind, "\(what): this machine has no such address",
        fix: "choose an address that `ip address` shows, or 127.0.0.1")
    case EAFNOSUPPORT:
      return Failure(
        .cannotBind, "\(what): this system does not offer that address family",
        fix: "choose an address of the other family, such as 127.0.0.1 instead of [::1]")
    default:
      return Failure(
        .cannotBind, "\(what): \(systemMessage(number))", fix: "choose another address")
    }
  }

  /// A local place that a service could not be opened at; `number` is the `errno` of the attempt.
  static func cannotListen(_ service: OpenedService, errno number: Int32) -> Failure {
    switch service.address {
    case .tcp(let address), .udp(let address):
      let failure = cannotBind(HostPort(address), errno: number)
      guard !service.name.isEmpty else { return failure }
      return Failure(
        failure.exitCode, "\(failure.cause) (for the service \(service.name))",
        fix: "\(failure.fix), as in \(service.name)=0")
    case .unix(let path):
      let what = "cannot listen on \(path)"
      switch number {
      case EADDRINUSE:
        return Failure(
          .cannotBind, "\(what): a program answers there", fix: "choose another path")
      case EEXIST:
        return Failure(
          .cannotBind, "\(what): this file is no socket",
          fix: "choose another path, or remove the file")
      default:
        return Failure(
          .cannotBind, "\(what): \(systemMessage(number))", fix: "choose another path")
      }
    }
  }

  /// A peer whose proven identity is not the one that the ticket pins.
  static func identityMismatch(expected: String, presented: String) -> Failure {
    Failure(
      .identityMismatch, "the peer is not the one that this ticket was made by",
      fix: "ask for a fresh ticket; if the peer kept its identity, beware of an impostor",
      details: [LogField(.expected, expected), LogField(.presented, presented)])
  }

  /// The system's own words for an `errno`.
  static func systemMessage(_ number: Int32) -> String {
    guard let message = strerror(number) else { return "system error \(number)" }
    return String(cString: message)
  }
}
