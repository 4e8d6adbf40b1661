internal import QuicTransport

/// The connecting side of a UDP service: a local address that programs write to. Each program's
/// address is a flow; answers leave from the address that it wrote to.
final class ProgramDatagrams: DatagramReceiver {
  /// Begins a flow with this end; nil while there is no session for it.
  typealias Open = (any DatagramEnd) -> DatagramFlow?

  private let socket: any DatagramSocket
  private let gather: DatagramGather
  private let open: Open
  private var programs: [NetworkPath: Program] = [:]
  /// Most datagrams come from where the one before came from.
  private var latest: Program?

  /// Takes a socket over.
  init(socket: any DatagramSocket, gather: DatagramGather, open: @escaping Open) {
    self.socket = socket
    self.gather = gather
    self.open = open
    socket.receiver = self
  }

  /// Ends its flows and gives the address back; safe to call again.
  func close() {
    for program in Array(programs.values) { program.flow?.close() }
    socket.close()
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    if latest?.path != datagram.path { latest = programs[datagram.path] ?? begin(datagram.path) }
    latest?.flow?.send(datagram.bytes)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}

  private func begin(_ path: NetworkPath) -> Program? {
    let program = Program(path: path, listener: self)
    // Bounded by the flows of a session; opening one may end another.
    guard open(program) != nil else { return nil }
    programs[path] = program
    return program
  }

  private func forget(_ program: Program) {
    programs[program.path] = nil
    if latest === program { latest = nil }
  }

  private func send(_ payload: UnsafeRawBufferPointer, to program: Program) -> Bool {
    gather.send(payload, through: socket, on: program.path)
  }

  /// A program that wrote to us.
  private final class Program: DatagramEnd {
    weak var flow: DatagramFlow?
    let path: NetworkPath
    private weak var listener: ProgramDatagrams?

    init(path: NetworkPath, listener: ProgramDatagrams) {
      self.path = path
      self.listener = listener
    }

    func send(_ payload: UnsafeRawBufferPointer) -> Bool {
      listener?.send(payload, to: self) ?? false
    }

    func close() {
      listener?.forget(self)
    }
  }
}
