internal import Tunnel

/// The line of one HTTP request. Everything that the client wrote is escaped.
enum RequestLine {
  /// For people: `200  GET  /index.html  12.3 ms`, with a mark and a color on a terminal.
  static func text(_ request: RequestReport, terminal: Terminal?) -> String {
    let kind = Kind(request)
    var line = request.status.map(String.init) ?? "---"
    line += "  \(TerminalText.escaped(request.method))  \(TerminalText.escaped(request.path))"
    line += "  \(Format.roundTripTime(request.duration))"
    if !request.service.isEmpty { line += "  (\(TerminalText.escaped(request.service)))" }
    if !request.isWhole { line += "  broken off" }
    line = TerminalText.truncated(line, bytes: LogLine.bytesMax - 64)
    guard let terminal else { return "  \(kind.plainMark) \(line)" }
    guard terminal.isColored else { return "  \(kind.mark) \(line)" }
    return "  \(kind.color)\(kind.mark) \(line)\u{1B}[0m"
  }

  /// For programs, on standard output.
  static func json(_ request: RequestReport) -> String {
    var writer = JSONWriter()
    writer.object { object in
      object.member("event", "request")
      object.member("flow", request.flow)
      object.member("service", request.service)
      object.member("method", request.method)
      object.member("path", LogValue.bounded(request.path))
      object.member("status", request.status.map(Int64.init))
      object.member("whole", request.isWhole)
      object.member("answer_bytes", request.answerBytes)
      LogField.duration(request.duration).write(to: &object)
    }
    return writer.text
  }

  /// For programs that read the log.
  static func log(_ request: RequestReport) -> LogLine {
    var fields: [LogField] = [.method(request.method), .path(request.path)]
    if let status = request.status { fields.append(.status(status)) }
    fields += [.duration(request.duration), .flow(request.flow)]
    if !request.service.isEmpty { fields.append(.service(request.service)) }
    return LogLine(level: .info, message: "request", fields: fields)
  }

  /// How it went, at a glance.
  private enum Kind {
    case good
    case moved
    case clientError
    case serverError

    init(_ request: RequestReport) {
      switch request.status {
      case let status? where status >= 500: self = .serverError
      case let status? where status >= 400: self = .clientError
      // A client that leaves a stream of events does nothing wrong, but it is worth a mark.
      case _? where !request.isWhole: self = .clientError
      case let status? where status >= 300: self = .moved
      case _?: self = .good
      case nil: self = .serverError
      }
    }

    var mark: String {
      switch self {
      case .good, .moved: "✓"
      case .clientError: "⚠"
      case .serverError: "✗"
      }
    }

    /// The mark in plain ASCII, for files and pipes.
    var plainMark: String {
      switch self {
      case .good, .moved: "+"
      case .clientError: "!"
      case .serverError: "x"
      }
    }

    var color: String {
      switch self {
      case .good: "\u{1B}[32m"
      case .moved: "\u{1B}[36m"
      case .clientError: "\u{1B}[33m"
      case .serverError: "\u{1B}[31m"
      }
    }
  }
}
