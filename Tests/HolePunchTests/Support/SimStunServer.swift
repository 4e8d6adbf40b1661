import HolePunch
import QuicTransport
import Simulation

/// A STUN server on two hosts with two ports each, as RFC 5780 wants it; or on one address.
final class SimStunServer {
  private let loop: SimLoop
  private var responder: STUNResponder
  private var sockets: [Front] = []

  static let port: UInt16 = 3_478
  static let primary = SocketAddress.serverHost.with(port: port)
  static let secondary = SocketAddress.otherHost.with(port: port + 1)

  /// One address of the server.
  private final class Front: DatagramReceiver {
    weak var server: SimStunServer?
    let socket: SimSocket

    init(_ socket: SimSocket) {
      self.socket = socket
      socket.receiver = self
    }

    func receive(_ datagram: ReceivedDatagram, now: Instant) {
      server?.receive(Array(datagram.bytes), from: datagram.path.remote, at: self, now: now)
    }

    func datagramSocketWritable(_ socket: any DatagramSocket) {}
  }

  init(network: SimNetwork, isDouble: Bool = true) {
    loop = network.loop
    responder = STUNResponder(otherAddress: isDouble ? Self.secondary : nil, now: loop.now)
    let hosts = isDouble ? [SocketAddress.serverHost, .otherHost] : [.serverHost]
    for host in hosts {
      for port in isDouble ? [Self.port, Self.port + 1] : [Self.port] {
        let front = Front(network.bind(host.with(port: port)))
        front.server = self
        sockets.append(front)
      }
    }
  }

  private func receive(_ bytes: [UInt8], from source: SocketAddress, at front: Front, now: Instant)
  {
    guard let answer = responder.answer(bytes, from: source, now: now) else { return }
    let asked = front.socket.localAddress
    let sender = sockets.first { other in
      let address = other.socket.localAddress
      return (address.port != asked.port) == answer.change.port
        && (address.with(port: 0) != asked.with(port: 0)) == answer.change.address
    }
    sender?.socket.send(answer.bytes, to: source)
  }
}
