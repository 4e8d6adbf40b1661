internal import Tunnel

extension LoopRun {
  /// What a share says of its target, in the log.
  nonisolated func reportHealth(_ service: String, isUp: Bool, _ problem: HealthProblem?) {
    let name = LogField.service(service)
    guard let problem, !isUp else { return log.info("the target passes its health check", name) }
    log.warning(
      "the target fails its health check", name, .cause(Describe.problem(problem)),
      .fix("relays send it no visitors until it passes again"))
  }

  /// What a relay hears of the targets of its nodes, in the log.
  nonisolated func reportMember(
    _ node: String, _ place: String, isUp: Bool, able: Int, of all: Int
  ) {
    let left = LogField.cause("\(able) of \(all) nodes can serve it")
    if isUp {
      log.info("a node's target passes its health check", .address(place), .peer(node), left)
    } else {
      log.warning("a node's target fails its health check", .address(place), .peer(node), left)
    }
  }
}

extension Describe {
  /// Why a health check failed.
  static func problem(_ problem: HealthProblem) -> String {
    switch problem {
    case .unreachable(let code): Failure.systemMessage(code)
    case .tooSlow: "no answer in time"
    case .noAnswer: "it closed the connection without an answer"
    case .notHTTP: "its answer is no HTTP/1.x"
    case .status(let status): "it answered with status \(status)"
    }
  }
}
