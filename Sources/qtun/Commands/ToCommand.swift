internal import Glibc
internal import QuicTransport
internal import Tunnel

/// `qtun to`: forwards by ssh's grammar. Several at once are a `qtun connect` with other words; `-W`
/// is a `qtun pipe` to a destination.
enum ToCommand: Sendable {
  case forwards(ConnectCommand)
  case stdio(PipeCommand)

  /// Reads the ticket and the identity, before anything is started.
  init(settings: ToSettings, global: GlobalSettings, console: Console) throws(Failure) {
    let ticket = try ConnectCommand.readTicket(settings.ticket)
    let identity = try settings.session.loadIdentity(console: console, global: global)
    var configuration = try Link.Configuration(
      identity: identity, ticket: ticket, opening: .everything, session: settings.session.tunnel,
      dialling: settings.dialling, retry: settings.retry.policy)
    configuration.proxyCredentials = try settings.proxyAuthFile.map(ConnectCommand.readCredentials)
    switch settings.purpose {
    case .forwards(let local, let proxies, let remote):
      let plan = try ForwardPlan(
        local: local, proxies: proxies, remote: remote, proxyProtocol: settings.proxyProtocol)
      configuration.opening = plan.opening
      configuration.remoteListeners = plan.remoteListeners
      self = .forwards(ConnectCommand(configuration: configuration, plan: plan))
    case .stdio(let forward):
      let (input, output) = (STDIN_FILENO, STDOUT_FILENO)
      // What was in the one flow is gone with its session.
      configuration.retry = .never
      switch forward {
      case .destination(let destination):
        configuration.opening = .streams(input: input, output: output, to: destination)
      case .service(let name):
        configuration.opening = .streams(input: input, output: output, to: nil, service: name)
      }
      self = .stdio(PipeCommand(connecting: configuration))
    }
  }

  func run(_ run: LoopRun) async throws(Failure) -> ExitCode {
    switch self {
    case .forwards(let command): try await command.run(run)
    case .stdio(let command): try await command.run(run)
    }
  }
}
