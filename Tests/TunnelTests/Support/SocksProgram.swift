import QuicTransport
import Simulation

@testable import Tunnel

/// A local program that sends UDP through a SOCKS proxy.
final class SocksProgram {
  /// Its TCP connection to the proxy.
  let control: LocalProgram
  let datagrams: DatagramProgram

  init(control: LocalProgram, datagrams: DatagramProgram) {
    self.control = control
    self.datagrams = datagrams
  }

  /// Asks for an association.
  func associate(port: UInt16 = 0) {
    control.send([5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, UInt8(port >> 8), UInt8(port & 0xff)])
  }

  /// Where the proxy takes datagrams, once it has said so.
  var relay: SocketAddress? {
    let reply = Array(control.received.dropFirst(2))
    guard reply.starts(with: [5, 0, 0]), reply.count >= 10,
      case .address(let address)? = DatagramTargetTests.decode(Array(reply[3...]))?.target
    else { return nil }
    return address
  }

  /// The code of the answer, once there is one.
  var reply: UInt8? { control.received.count > 3 ? control.received[3] : nil }

  /// Sends bytes to a target, with the header that SOCKS wants.
  func send(_ bytes: [UInt8], to target: [UInt8], fragment: UInt8 = 0) {
    guard let relay else { return }
    datagrams.send([0, 0, fragment] + target + bytes, to: relay)
  }

  static func name(_ host: String, _ port: UInt16) -> [UInt8] {
    [3, UInt8(host.utf8.count)] + Array(host.utf8) + [UInt8(port >> 8), UInt8(port & 0xff)]
  }
}

extension TunnelWorld {
  /// A proxy to the dynamic service `out`, for programs of the link's machine.
  func openProxy() -> (door: ProxyDoor, associations: SocksAssociations) {
    let (link, network, loop) = (link, network, loop)
    let associations = SocksAssociations(
      loop: loop, gather: link.gather, isOffered: { link.takesNamedDatagrams },
      bind: { address throws(RuntimeError) in network.bind(address) },
      open: { link.openDatagramFlow(to: "out", end: $0) })
    let door = ProxyDoor(
      service: "out", credentials: nil, loop: loop, associations: associations,
      wished: { socket, wish in link.accept(socket, wish: wish) })
    return (door, associations)
  }

  /// A program that connects to the proxy from this address.
  func socksProgram(_ door: ProxyDoor, at host: SocketAddress = .loopbackIPv4) -> SocksProgram {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: SimTargets.latency)
    let program = SocksProgram(
      control: LocalProgram(far), datagrams: DatagramProgram(network: network, at: host))
    let path = NetworkPath(
      local: SocketAddress.loopbackIPv4.with(port: 1_080),
      remote: program.datagrams.socket.localAddress.with(port: 40_000))
    door.accept(near, over: path)
    return program
  }
}
