import Glibc
import Simulation

@testable import QuicTransport
@testable import Tunnel

/// TCP between a link and a share: what carriers over byte streams run on.
final class SimTCP {
  /// Whether connects succeed; otherwise they are refused after a round trip.
  var passes: Bool
  /// The next so many are refused all the same, as by a box that lets only some kinds pass.
  var refusalsLeft = 0
  /// The link's end of each connection, in order.
  private(set) var connections: [SimStreamSocket] = []
  /// What was dialled, in order.
  private(set) var dialled: [SocketAddress] = []

  private let loop: SimLoop
  private weak var listener: CarrierListener?
  static let latency = Duration.milliseconds(20)

  init(loop: SimLoop, passes: Bool, listener: CarrierListener) {
    self.loop = loop
    self.passes = passes
    self.listener = listener
  }

  func connect(_ address: SocketAddress) throws(RuntimeError) -> any StreamSocket {
    dialled.append(address)
    let isRefused = refusalsLeft > 0
    if isRefused { refusalsLeft -= 1 }
    guard passes, !isRefused else {
      return SimStreamSocket.failing(loop: loop, code: ECONNREFUSED, latency: Self.latency)
    }
    let (near, far) = SimStreamSocket.connecting(
      loop: loop, capacity: 1_048_576, latency: Self.latency)
    connections.append(near)
    loop.after(Self.latency) { [weak listener] in
      listener?.accept(far, from: .clientHost, at: .serverHost)
    }
    return near
  }

  /// Every connection falls silent, as when a NAT forgets it.
  func freezeAll() {
    for connection in connections where !connection.isReleased { connection.freeze() }
  }

  /// Every connection stands still for this long, as when a machine is busy.
  func holdAll(for time: Duration) {
    for connection in connections where !connection.isReleased { connection.hold(for: time) }
  }

  /// Every connection is reset, as by a middlebox that forgot it.
  func resetAll() {
    for connection in connections where !connection.isReleased { connection.sever() }
    connections.removeAll()
  }
}
