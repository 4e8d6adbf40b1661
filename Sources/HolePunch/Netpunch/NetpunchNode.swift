public import QuicTransport

/// A netpunch machine on a socket and a loop.
///
/// It logs nothing and decides nothing: the observer sees every message that comes and goes, in
/// order, and hears of the end.
public final class NetpunchNode: DatagramReceiver {
  private let loop: any EventLoop
  private let socket: any DatagramSocket
  private var machine: any NetpunchMachine
  private let observer: (NetpunchOutput) -> Void
  private var timer: LoopTimer?

  /// Begins. Call on the loop; keep the node for as long as it shall run: the socket does not.
  public init(
    _ machine: any NetpunchMachine, socket: any DatagramSocket, loop: any EventLoop,
    observer: @escaping (NetpunchOutput) -> Void
  ) {
    self.machine = machine
    self.socket = socket
    self.loop = loop
    self.observer = observer
    socket.receiver = self
    timer = LoopTimer { [weak self] now in self?.wake(now) }
    wake(loop.now)
  }

  /// Stops receiving and sending; the socket stays the caller's.
  public func stop() {
    socket.receiver = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// Takes a datagram from the socket.
  public func receive(_ datagram: ReceivedDatagram, now: Instant) {
    machine.receive(datagram.bytes, from: datagram.path.remote, now: now)
    drain()
  }

  /// Does nothing: what a full socket buffer could not take is repeated soon.
  public func datagramSocketWritable(_ socket: any DatagramSocket) {}

  private func wake(_ now: Instant) {
    machine.advance(now: now)
    drain()
  }

  private func drain() {
    for output in machine.takeOutputs() {
      if case .send(let bytes, _, let address) = output { send(bytes, to: address) }
      observer(output)
    }
    guard let timer else { return }
    if machine.deadline == .distantFuture {
      loop.cancel(timer)
    } else {
      loop.schedule(timer, at: machine.deadline)
    }
  }

  private func send(_ bytes: [UInt8], to address: SocketAddress) {
    guard !socket.isBlocked else { return }
    bytes.withUnsafeBytes { bytes in
      // The kernel picks the source, as for any socket that is bound to every address.
      let path = NetworkPath(local: .any, remote: address)
      _ = socket.send(
        DatagramBatch(bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable))
    }
  }
}
