import HolePunch
import QuicTransport
import Simulation

@testable import Tunnel

/// A router that forwards ports on request, by PCP alone (RFC 6887).
final class SimPCPGateway: DatagramReceiver {
  /// Where hosts behind it ask.
  private(set) var address: SocketAddress
  private(set) var requests = 0
  private let network: SimNetwork
  private let inside: SocketAddress
  private let translator: SimNAT
  private var socket: SimSocket

  init(network: SimNetwork, inside: SocketAddress, translator: SimNAT) {
    self.network = network
    self.inside = inside
    self.translator = translator
    address = SocketAddress(high: inside.high, low: inside.low + 100, port: 0)
    translator.attach(address)
    socket = network.bind(address.with(port: 5_351))
    socket.receiver = self
  }

  /// Another router takes its place, at another address.
  func replace() {
    socket.close()
    for port in translator.forwardedPorts { translator.forward(port, to: nil) }
    address = SocketAddress(high: address.high, low: address.low + 1, port: 0)
    translator.attach(address)
    socket = network.bind(address.with(port: 5_351))
    socket.receiver = self
  }

  /// A port of it for a socket behind it.
  func mapping(of socket: SimSocket) -> MappedPort {
    let (network, inside, port) = (network, inside, socket.localAddress.port)
    return MappedPort(
      route: { [weak self] in
        self.map { MappedPort.Route(gateway: $0.address, client: inside) }
      },
      ask: { [weak self] changed in
        guard let self else { return nil }
        let road = PortMappingClient.Road(
          gateway: address, client: inside.with(port: port), socket: network.bind(inside)
        ) { _ in nil }
        return PortMappingClient(
          road, loop: network.loop, random: SplitMix64(seed: 1), changed: changed)
      })
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let bytes = Array(datagram.bytes)
    guard bytes.count == 60, bytes[0] == 2 else { return }
    requests += 1
    let isRemoval = bytes[4..<8].allSatisfy { $0 == 0 }
    let port = UInt16(bytes[40]) << 8 | UInt16(bytes[41])
    translator.forward(port, to: isRemoval ? nil : inside.with(port: port))
    var host: [UInt8] = []
    for word in [translator.address.high, translator.address.low] {
      host += (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }
    let lifetime: [UInt8] = [0, 0, isRemoval ? 0 : 14, isRemoval ? 0 : 16]
    let answer =
      [2, 0x81, 0, 0] + lifetime + [0, 0, 0, 9] + [UInt8](repeating: 0, count: 12)
      + bytes[24..<42] + bytes[40..<42] + host
    socket.send(answer, to: datagram.path.remote)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}
