import Glibc
import QuicTransport
import Simulation

@testable import Tunnel

/// UDP programs of both machines, on the simulated network: they all live on its loopback host, where
/// datagrams of every size pass.
final class SimDatagramTargets {
  static let dns = SocketAddress.loopbackIPv4.with(port: 53)

  /// Sockets that flows of the share opened, and the addresses that they tried.
  private(set) var sockets: [SimSocket] = []
  private(set) var attempts: [SocketAddress?] = []
  /// Addresses of a family that this machine does not have.
  var unusable: Set<SocketAddress> = []

  private let network: SimNetwork

  init(network: SimNetwork) {
    self.network = network
    network.configure(.loopbackIPv4, .loopbackIPv4) {
      $0 = LinkSettings(latency: .microseconds(20))
      $0.mtu = 70_000
    }
  }

  func connect(_ address: SocketAddress?) throws(RuntimeError) -> any DatagramSocket {
    attempts.append(address)
    if let address, unusable.contains(address) { throw .system("connect", EAFNOSUPPORT) }
    let socket = network.bind(.loopbackIPv4)
    sockets.append(socket)
    return socket
  }

  /// Sockets that are still open.
  var openCount: Int { sockets.count { $0.receiver != nil } }
}

/// A local program that sends and receives UDP datagrams.
final class DatagramProgram: DatagramReceiver {
  let socket: SimSocket
  private(set) var received: [[UInt8]] = []
  /// Where each of them came from.
  private(set) var senders: [SocketAddress] = []
  /// Sends everything back.
  var echoes = false

  init(network: SimNetwork, at address: SocketAddress = .loopbackIPv4) {
    socket = network.bind(address)
    socket.receiver = self
  }

  func send(_ bytes: [UInt8], to address: SocketAddress) {
    bytes.withUnsafeBytes { bytes in
      _ = socket.send(
        DatagramBatch(
          bytes: bytes, segmentSize: bytes.count,
          path: NetworkPath(local: socket.localAddress, remote: address), ecn: .notCapable))
    }
  }

  func forget() {
    received = []
    senders = []
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    received.append(Array(datagram.bytes))
    senders.append(datagram.path.remote)
    if echoes { send(Array(datagram.bytes), to: datagram.path.remote) }
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}

extension TunnelWorld {
  /// Opens a UDP service on the link's machine; programs write to the address.
  func openDatagrams(
    _ service: String = ""
  ) -> (programs: ProgramDatagrams, address: SocketAddress) {
    let socket = network.bind(.loopbackIPv4)
    let link = self.link
    let programs = ProgramDatagrams(socket: socket, gather: link.gather) { end in
      link.openDatagramFlow(to: service, end: end)
    }
    return (programs, socket.localAddress)
  }
}
