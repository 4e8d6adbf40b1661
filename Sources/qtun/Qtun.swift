internal import Glibc
internal import QuicTransport

/// The program: reads the command line, runs one command, ends with an `ExitCode`.
@main
enum Qtun {
  static let version = "0.1.0"

  static func main() {
    StandardDescriptors.openClosed()
    SignalPipe.ignoreBrokenPipes()
    let environment = Environment.process
    let console = Console.standardError(environment: environment)
    do throws(UsageError) {
      let words = Array(CommandLine.arguments.dropFirst())
      let invocation = try CommandLineParser.parse(words, environment: environment)
      exit(run(invocation, console: console).rawValue)
    } catch {
      console.printLine(error.wantsJSON ? error.json : error.text)
      exit(ExitCode.usage.rawValue)
    }
  }

  private static func run(_ invocation: Invocation, console: Console) -> ExitCode {
    do throws(Failure) {
      return try perform(invocation, console: console)
    } catch {
      console.printLine(invocation.settings.logFormat == .json ? error.json : error.text)
      return error.exitCode
    }
  }

  private static func perform(_ invocation: Invocation, console: Console) throws(Failure)
    -> ExitCode
  {
    let settings = invocation.settings
    switch invocation.action {
    case .help(let page):
      try StandardOutput.tell(settings.isJSON ? page.json : page.text)
    case .usage:
      console.printLine(HelpPage.shortUsage)
      return .usage
    case .version:
      let report = VersionReport(
        version: version, protocolName: "qtun/1",
        libraries: [
          VersionReport.Library(name: "ngtcp2", version: LibraryVersions.ngtcp2),
          VersionReport.Library(name: "gnutls", version: LibraryVersions.gnutls),
        ])
      try StandardOutput.tell(settings.isJSON ? report.json : report.text)
    case .status: return try StatusCommand(environment: .process).run(settings, console: console)
    case .keygen(let keygen):
      try KeygenCommand(settings: keygen).run(settings)
    case .punch(let punch):
      do throws(PunchError) {
        try PunchCommand(settings: punch, console: console).run()
      } catch {
        console.printLine(error.text)
        return .internalError
      }
    case .savePeer(let name, let ticket, let folder):
      try PeerBook.run(
        name: name, ticket: ticket, folder: folder, settings, console: console)
    case .to(let to):
      let command = try ToCommand(settings: to, global: settings, console: console)
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await command.run(run)
      }
    case .ticket(let ticket):
      try TicketCommand(settings: ticket).run(settings, console: console)
    case .service(let service):
      return try ServiceCommand(settings: service).run(settings, console: console)
    case .token(let token):
      try TokenCommand(settings: token).run(settings, console: console)
    case .share(let share):
      let command = try ShareCommand(settings: share, global: settings, console: console)
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await command.run(run)
      }
    case .pipe(let pipe):
      let command = try PipeCommand(settings: pipe, global: settings, console: console)
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await command.run(run)
      }
    case .ping(let ping):
      let command = try PingCommand(settings: ping, global: settings, console: console)
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await command.run(run)
      }
    case .netcheck(let netcheck):
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await NetcheckCommand(settings: netcheck).run(run)
      }
    case .relay(let relay):
      let command = try RelayCommand(settings: relay, global: settings, console: console)
      return try LoopRun.run(settings, console: console, hangupReloads: true) {
        run throws(Failure) in
        try await command.run(run)
      }
    case .connect(let connect):
      let command = try ConnectCommand(settings: connect, global: settings, console: console)
      return try LoopRun.run(settings, console: console) { run throws(Failure) in
        try await command.run(run)
      }
    }
    return .ok
  }
}
