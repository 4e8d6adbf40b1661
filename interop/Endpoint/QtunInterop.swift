import Glibc
import QuicTransport

/// The endpoint that quic-interop-runner drives, and our own tests against foreign QUIC stacks.
///
/// Everything comes in environment variables (see `InteropEnvironment`). Exit status: 0 when the
/// client has all files, 1 for a failure, 127 for a test case that is not supported. A server runs
/// until it is killed.
@main
struct QtunInterop {
  static func main() {
    do {
      try run()
    } catch {
      Console.say(error.description)
      exit(error.exitStatus)
    }
  }

  private static func run() throws(InteropError) {
    let environment = try InteropEnvironment { name in
      getenv(name).map { String(cString: $0) }
    }
    if environment.ignoresQlog {
      Console.say("QLOGDIR is ignored: ngtcp2 1.11 overflows a stack buffer when it writes qlog")
    }
    let loop: EpollLoop
    do {
      loop = try EpollLoop()
    } catch {
      throw .failed(error.description)
    }
    switch environment.role {
    case .server:
      // As the first process of a container it would not be ended by SIGTERM.
      signal(SIGTERM) { _ in _exit(143) }
      let server = try InteropServer(environment, loop: loop)
      withExtendedLifetime(server) { loop.run() }
    case .client:
      let client = try InteropClient(environment, loop: loop)
      client.start()
      loop.run()
      try client.result()
    }
  }
}
