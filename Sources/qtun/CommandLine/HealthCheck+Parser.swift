internal import Tunnel

extension ValueParser where Value == HealthCheck {
  /// `tcp` or `http:/PATH`, and what differs from the defaults, with commas between.
  static let healthCheck = ValueParser { (text) throws(ValueProblem) in
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var check = HealthCheck(try question(parts[0]))
    var known: Set<String> = []
    for part in parts.dropFirst() {
      let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2, known.insert(String(words[0])).inserted else {
        throw ValueProblem(part, "sets nothing, or something twice", fix: example)
      }
      let value = String(words[1])
      switch words[0] {
      case "interval": check.interval = try time.parse(value)
      case "timeout": check.timeout = try time.parse(value)
      case "fall": check.fall = try count(value)
      case "rise": check.rise = try count(value)
      default: throw ValueProblem(part, "is no setting of a check", fix: example)
      }
    }
    // An interval that is short says what is meant by itself.
    if !known.contains("timeout") { check.timeout = min(check.timeout, check.interval) }
    guard check.timeout <= check.interval else {
      throw ValueProblem(
        text, "lets a check take longer than its interval", fix: "choose a shorter timeout")
    }
    return check
  }

  private static let example = "write it like http:/health,interval=5s,timeout=2s,fall=2,rise=2"
  private static let time = ValueParser<Duration>.duration(
    in: .milliseconds(100)...(.seconds(3_600)))

  private static func question(_ text: String) throws(ValueProblem) -> HealthCheck.Question {
    if text == "tcp" { return .tcp }
    guard text.hasPrefix("http:") else {
      throw ValueProblem(text, "is no check", fix: "choose tcp or http:/PATH, such as http:/health")
    }
    let path = String(text.dropFirst("http:".count))
    // What stands in a request line as it is (RFC 9112 §3.2.1); a comma begins a setting.
    let isPath = path.hasPrefix("/") && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    guard isPath, path.utf8.count <= 1_024 else {
      throw ValueProblem(text, "has no path that can be asked for", fix: example)
    }
    return .http(path: path)
  }

  private static func count(_ text: String) throws(ValueProblem) -> Int {
    guard let count = Int(text), (1...100).contains(count) else {
      throw ValueProblem(text, "is no number of checks", fix: "choose one from 1 to 100")
    }
    return count
  }
}
