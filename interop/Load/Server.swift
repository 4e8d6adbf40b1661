import Glibc
import Synchronization

/// The service behind the tunnel: answers all modes on one port, one blocking thread a connection.
///
/// Every thread waits in `accept` itself and starts a successor when it was the last one waiting.
/// So a steady load creates no threads, and 10,000 open connections need nothing but 10,000 of them.
final class Server: Sendable {
  private let listener: Socket
  private let pattern = Pattern()
  private let idleThreads = Atomic<Int>(0)
  private let sources = Mutex<[UInt64: Source]>([:])

  /// Listens at once; `run` starts to answer.
  init(address: Address) throws(LoadError) {
    raiseDescriptorLimit()
    listener = try Socket.listen(on: address)
  }

  /// The address to tell the clients, with the real port.
  var address: Address { listener.localAddress }

  /// Serves until the process is killed.
  func run() throws(LoadError) -> Never {
    idleThreads.add(1, ordering: .relaxed)
    while true {
      try acceptOne()
      idleThreads.add(1, ordering: .relaxed)
    }
  }

  // MARK: -

  private func acceptOne() throws(LoadError) {
    let socket = try listener.accept()
    if idleThreads.subtract(1, ordering: .relaxed).newValue == 0 {
      idleThreads.add(1, ordering: .relaxed)
      try WorkerThread { [self] in
        do throws(LoadError) { try work() } catch { QtunLoad.stop(error) }
      }.detach()
    }
    // A client that goes away is its own business: it tells, and this side closes.
    do throws(LoadError) { try serve(socket) } catch {}
  }

  /// The loop of every thread but the first one; ends when plenty of others are waiting.
  private func work() throws(LoadError) {
    repeat {
      try acceptOne()
    } while idleThreads.add(1, ordering: .relaxed).newValue <= Self.idleThreadsMax
    idleThreads.subtract(1, ordering: .relaxed)
  }

  private func serve(_ socket: Socket) throws(LoadError) {
    guard let line = try socket.receiveLine() else { return }
    switch try Request(line: line) {
    case .source(let bytes, let key): try sendPattern(socket, bytes: bytes, key: key)
    case .sink(let bytes, let key): try checkPattern(socket, bytes: bytes, key: key)
    case .echo: try echo(socket)
    case .progress(let key):
      guard let source = sources.withLock({ $0[key] }) else {
        throw .protocolViolation("no running source with this key")
      }
      try socket.send(line: "\(source.accepted.load(ordering: .relaxed)) \(source.port)")
    }
  }

  private func sendPattern(_ socket: Socket, bytes: Int, key: UInt64) throws(LoadError) {
    let source = Source(port: socket.peerAddress.port)
    sources.withLock { $0[key] = source }
    defer { sources.withLock { _ = $0.removeValue(forKey: key) } }
    var cursor = pattern.cursor(key: key, direction: .down)
    while cursor.position < bytes {
      let count = min(bytes - cursor.position, Pattern.chunkBytesMax)
      cursor.advance(by: try socket.sendSome(cursor.pointer, count: count))
      source.accepted.store(cursor.position, ordering: .relaxed)
    }
    socket.finishSending()
    // Waits for the client's end, so that this close never resets bytes still on their way.
    var rest: UInt8 = 0
    _ = try socket.receive(into: &rest, max: 1)
  }

  private func checkPattern(_ socket: Socket, bytes: Int, key: UInt64) throws(LoadError) {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Pattern.chunkBytesMax, alignment: 64)
    defer { buffer.deallocate() }
    var cursor = pattern.cursor(key: key, direction: .up)
    while cursor.position < bytes {
      let room = min(bytes - cursor.position, Pattern.chunkBytesMax)
      let count = try socket.receive(into: buffer, max: room)
      guard count > 0 else { throw .closed("upload") }
      do throws(LoadError) {
        try cursor.check(buffer, count: count)
      } catch {
        try socket.send(line: "\(error)")
        throw error
      }
    }
    try socket.send(line: "ok")
  }

  private func echo(_ socket: Socket) throws(LoadError) {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.echoBytesMax, alignment: 64)
    defer { buffer.deallocate() }
    while case let count = try socket.receive(into: buffer, max: Self.echoBytesMax), count > 0 {
      try socket.send(buffer, count: count)
    }
    socket.finishSending()
  }

  private static let echoBytesMax = 16 << 10
  /// What stays after a burst: more than any mode opens in parallel over and over.
  private static let idleThreadsMax = 128

  /// A running `source`: how much the kernel took of it, and the port of whoever reads it.
  private final class Source: Sendable {
    let accepted = Atomic<Int>(0)
    let port: UInt16

    init(port: UInt16) { self.port = port }
  }
}

/// Allows as many descriptors as the kernel grants; 10,000 flows need more than the usual 1,024.
func raiseDescriptorLimit() {
  for wanted: rlim_t in [1 << 17, 1 << 16] {
    var limit = rlimit(rlim_cur: wanted, rlim_max: wanted)
    if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { return }
  }
  // Without the privilege to raise the hard limit, the soft one may still go up to it.
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
