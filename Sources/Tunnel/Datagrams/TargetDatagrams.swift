internal import QuicTransport

/// The sharing side's end of a UDP flow: a socket of its own, connected to the shared server.
final class TargetDatagrams: DatagramEnd, DatagramReceiver {
  /// Opens a socket that is connected to this address; to none for targets that datagrams name.
  typealias Connect = (SocketAddress?) throws(RuntimeError) -> any DatagramSocket

  weak var flow: DatagramFlow?
  private let socket: any DatagramSocket
  private let path: NetworkPath
  private let gather: DatagramGather

  /// Connects to the first address of a family that this machine has; nil when there is none.
  init?(addresses: [SocketAddress], gather: DatagramGather, connect: Connect) {
    var opened: (socket: any DatagramSocket, address: SocketAddress)?
    for address in addresses where opened == nil {
      opened = (try? connect(address)).map { ($0, address) }
    }
    guard let opened else { return nil }
    socket = opened.socket
    path = NetworkPath(local: opened.socket.localAddress, remote: opened.address)
    self.gather = gather
    socket.receiver = self
  }

  func send(_ payload: UnsafeRawBufferPointer) -> Bool {
    gather.send(payload, through: socket, on: path)
  }

  func close() {
    // What was gathered for it leaves before the socket goes.
    gather.flush()
    socket.close()
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    flow?.send(datagram.bytes)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}

  func datagramSocketRefused(_ socket: any DatagramSocket) {
    flow?.noteRefused()
  }
}
