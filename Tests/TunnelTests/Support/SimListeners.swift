import Glibc
import QuicTransport
import Simulation

@testable import Tunnel

/// The addresses of the sharing side's machine: who listens where, and programs that connect there.
final class SimListeners {
  private(set) var open: [SocketAddress: (any StreamSocket, SocketAddress) -> Void] = [:]
  /// Fail with this `errno`.
  var unusable: [SocketAddress: Int32] = [:]
  /// Programs that connected, in order.
  private(set) var programs: [LocalProgram] = []

  private let loop: SimLoop
  private var nextPort: UInt16 = 40_000

  /// Where programs come from.
  static let source = SocketAddress.loopbackIPv4.with(port: 50_505)

  init(loop: SimLoop) {
    self.loop = loop
  }

  var addresses: Set<SocketAddress> { Set(open.keys) }

  func listen(
    _ address: SocketAddress, accepted: @escaping (any StreamSocket, SocketAddress) -> Void
  ) throws(RuntimeError) -> ServedListeners.OpenListener {
    var bound = address
    if bound.port == 0 {
      bound.port = nextPort
      nextPort += 1
    }
    if let code = unusable[bound] { throw .system("listen", code) }
    guard open[bound] == nil else { throw .system("listen", EADDRINUSE) }
    open[bound] = accepted
    return ServedListeners.OpenListener(address: bound) { [weak self] in self?.open[bound] = nil }
  }

  /// The process that listened is gone.
  func closeAll() {
    open.removeAll()
  }

  /// A program connects; nil where nobody listens.
  func connect(to address: SocketAddress) -> LocalProgram? {
    guard let accepted = open[address] else { return nil }
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: SimTargets.latency)
    let program = LocalProgram(far)
    programs.append(program)
    accepted(near, Self.source)
    return program
  }
}
