import Glibc
import Simulation
import Testing

@testable import QuicTransport
@testable import Tunnel

/// The services behind a share: what connects to which address, and what happens then.
final class SimTargets {
  /// What becomes of a connect.
  enum Behaviour {
    case accepts
    /// Fails with this `errno` after the latency, or at once.
    case refuses(Int32)
    case refusesAtOnce(Int32)
    /// Is never answered.
    case silent
  }

  static let web = SocketAddress.loopbackIPv4.with(port: 3_000)
  static let spare = SocketAddress.loopbackIPv4.with(port: 3_001)

  /// Addresses that are not here accept.
  var behaviours: [SocketAddress: Behaviour] = [:]
  /// Every connect, in order.
  private(set) var attempts: [SocketAddress] = []
  /// One for each connect that was accepted.
  private(set) var programs: [LocalProgram] = []
  /// Connects that are failing or silent, to see whether they are released.
  private(set) var failing: [SimStreamSocket] = []
  /// Told of each accepted program before its first bytes.
  var onAccept: ((LocalProgram) -> Void)?
  var capacity = 65_536

  private let loop: SimLoop
  static let latency = Duration.microseconds(50)

  init(loop: SimLoop) {
    self.loop = loop
  }

  func connect(_ address: StreamAddress) throws(RuntimeError) -> any StreamSocket {
    switch address {
    case .tcp(let address): try connect(address)
    case .unix, .streams, .folder: throw .system("connect", ENOENT)
    }
  }

  private func connect(_ address: SocketAddress) throws(RuntimeError) -> any StreamSocket {
    attempts.append(address)
    switch behaviours[address] ?? .accepts {
    case .accepts:
      let (near, far) = SimStreamSocket.connecting(
        loop: loop, capacity: capacity, latency: Self.latency)
      let program = LocalProgram(far)
      programs.append(program)
      onAccept?(program)
      return near
    case .refuses(let code): return fail(code)
    case .silent: return fail(nil)
    case .refusesAtOnce(let code): throw .system("connect", code)
    }
  }

  private func fail(_ code: Int32?) -> SimStreamSocket {
    let socket = SimStreamSocket.failing(loop: loop, code: code, latency: Self.latency)
    failing.append(socket)
    return socket
  }
}
