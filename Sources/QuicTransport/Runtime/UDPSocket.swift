internal import CNgtcp2
internal import Glibc

/// A UDP socket that receives and sends in batches: recvmmsg with GRO, UDP_SEGMENT (GSO).
///
/// It reports the local address of each datagram and is dual-stack when it is bound to
/// `SocketAddress.any`. One that carries QUIC sets DF and reports ECN; one that talks to programs
/// leaves both to the kernel.
public final class UDPSocket: DatagramSocket, ReadinessHandler {
  /// The bound address, with its real port.
  public let localAddress: SocketAddress
  /// Told of arrivals.
  public weak var receiver: (any DatagramReceiver)?

  private let loop: EpollLoop
  /// Nil once closed: nobody reads it any more, so the loop would be told of it without end.
  private var descriptor: FileDescriptor?
  private let isIPv4: Bool
  private let isConnected: Bool
  private var registration: Registration.Token?
  /// False once the kernel or a device refused a segmented send.
  private var hasSegmentation = true
  /// What the full socket buffer did not take, and when to try again.
  private var stash: Stash?
  private var retry: LoopTimer?

  /// Opens and binds a socket, which the loop keeps alive until `close`. Call on the loop.
  ///
  /// - Parameters:
  ///   - address: port 0 picks a free port.
  ///   - bufferBytes: what is asked of the kernel for each direction; it may grant less.
  /// - Throws: `RuntimeError.system` with EADDRINUSE, EACCES and the like.
  public convenience init(loop: EpollLoop, binding address: SocketAddress, bufferBytes: Int)
    throws(RuntimeError)
  {
    try self.init(loop: loop, opening: .quic(address), bufferBytes: bufferBytes)
  }

  /// The same for whatever `opening` says.
  public init(loop: EpollLoop, opening: Opening, bufferBytes: Int) throws(RuntimeError) {
    var bound = qtun_address()
    var isIPv4 = false
    let bytes = UInt32(clamping: bufferBytes)
    let result: Int32
    switch opening {
    case .quic(let address):
      var raw = address.raw
      result = qtun_udp_open(&raw, bytes, &bound, &isIPv4)
      isConnected = false
    case .sharing(let address):
      var raw = address.raw
      result = qtun_udp_open_shared(&raw, bytes, &bound, &isIPv4)
      isConnected = false
    case .programs(let address):
      var raw = address.raw
      result = qtun_udp_open_plain(&raw, bytes, &bound, &isIPv4)
      isConnected = false
    case .target(let address):
      var raw = address.raw
      result = qtun_udp_connect(&raw, bytes, &bound, &isIPv4)
      isConnected = true
    }
    if result < 0 { throw .system(isConnected ? "connect" : "bind", -result) }
    self.loop = loop
    self.isIPv4 = isIPv4
    let descriptor = FileDescriptor(owning: result)
    localAddress = SocketAddress(bound)
    registration = try loop.register(descriptor, edgeTriggered: false, handler: self)
    self.descriptor = consume descriptor
  }

  /// What a socket is for.
  public enum Opening: Sendable {
    /// QUIC between peers, bound here.
    case quic(SocketAddress)
    /// The same, one more where a socket is that `UDPSocket.allowSharing` was called for.
    case sharing(SocketAddress)
    /// Programs that write to this address.
    case programs(SocketAddress)
    /// One server, to which the socket is connected: batches go there, whatever path they name.
    case target(SocketAddress)
  }

  /// What system calls take; nil once closed.
  var rawDescriptor: Int32? { descriptor?.raw }

  /// Stops watching and sending, and releases the port.
  public func close() {
    receiver = nil
    stash = nil
    if let retry { loop.cancel(retry) }
    if let registration { loop.unregister(registration) }
    registration = nil
    descriptor = nil
  }

  /// Stops watching and sending and gives the descriptor away: for a program that is started next,
  /// so blocking, kept on exec, and without the options that only this type understands. Nil once
  /// closed.
  public func handOver() -> Int32? {
    guard let raw = descriptor?.raw else { return nil }
    let copy = qtun_udp_plain_copy(raw, isIPv4)
    close()
    return copy < 0 ? nil : copy
  }

  /// The source address that the routing table picks towards `remote`, with this socket's port.
  /// ngtcp2's client knows its path by both ends, so it needs the real one before it dials.
  public func sourceAddress(towards remote: SocketAddress) -> SocketAddress {
    var raw = remote.raw
    var source = qtun_address()
    guard localAddress.isUnspecified, qtun_route_source(&raw, &source) == 0 else {
      return localAddress
    }
    return SocketAddress(source).with(port: localAddress.port)
  }

  // MARK: Receiving

  /// Receives what has arrived. Called by the loop.
  public func ready(_ readiness: Readiness, now: Instant) {
    var bytesReceived = 0
    for round in 0..<Self.receivesPerTickMax {
      if round >= Self.receivesPerTick {
        guard receiver?.takesMore == true, bytesReceived < Self.bytesPerTickMax else { return }
      }
      // Whoever was told of a datagram may have closed the socket.
      guard let raw = descriptor?.raw else { return }
      let memory = loop.receiveMemory
      let count = Int(
        qtun_udp_receive(raw, memory.buffers, localAddress.port, memory.messages))
      // Errors here are asynchronous ICMP reports; QUIC ignores them (RFC 9000 §14.2.1).
      if count == -Int(ECONNREFUSED) { receiver?.datagramSocketRefused(self) }
      guard count > 0 else { return }
      for index in 0..<count {
        deliver(memory.messages[index], now: now)
        bytesReceived += Int(memory.messages[index].length)
      }
      if count < Int(QTUN_BATCH) { return }
    }
  }

  private func deliver(_ message: qtun_received, now: Instant) {
    let path = NetworkPath(
      local: SocketAddress(message.local), remote: SocketAddress(message.remote))
    let ecn = ECN(rawValue: message.ecn) ?? .notCapable
    // Looked up once for all that the kernel coalesced.
    let receiver = self.receiver
    // An empty datagram is handed on like any other: it counts against the batch (F11).
    var offset = 0
    repeat {
      let size = min(Int(message.segment_size), Int(message.length) - offset)
      // SAFETY: the kernel wrote `length` bytes at `base`, which stays ours until the next receive.
      let bytes = UnsafeRawBufferPointer(start: message.base + offset, count: size)
      receiver?.receive(ReceivedDatagram(bytes: bytes, path: path, ecn: ecn), now: now)
      offset += max(size, 1)
    } while offset < Int(message.length)
  }

  // MARK: Sending

  /// Whether a batch waits for room in the socket's buffer.
  public var isBlocked: Bool { stash != nil }

  /// Sends in one system call where the kernel segments, else one by one.
  public func send(_ batch: DatagramBatch) -> SendResult {
    precondition(!isBlocked)
    let sent = attempt(batch)
    guard sent < batch.bytes.count else { return .sent }
    stash = Stash(
      bytes: Array(batch.bytes[sent...]), segmentSize: batch.segmentSize, path: batch.path,
      ecn: batch.ecn, hopLimit: batch.hopLimit)
    retryLater()
    return .blocked
  }

  private func retryLater() {
    let timer = retry ?? LoopTimer { [weak self] _ in self?.sendStash() }
    retry = timer
    loop.schedule(timer, at: loop.now + Self.retryDelay)
  }

  private func sendStash() {
    guard var stash else { return }
    let sent = stash.bytes.withUnsafeBytes { bytes in
      var batch = DatagramBatch(
        bytes: bytes, segmentSize: stash.segmentSize, path: stash.path, ecn: stash.ecn)
      batch.hopLimit = stash.hopLimit
      return attempt(batch)
    }
    stash.bytes.removeFirst(sent)
    guard stash.bytes.isEmpty else {
      self.stash = stash
      retryLater()
      return
    }
    self.stash = nil
    receiver?.datagramSocketWritable(self)
  }

  /// Returns how many bytes left, or were lost as networks lose them.
  private func attempt(_ batch: DatagramBatch) -> Int {
    if batch.segmentSize < batch.bytes.count, hasSegmentation {
      let result = trySend(batch)
      // EIO: the device cannot checksum segments. EINVAL: no UDP_SEGMENT, or above its limit.
      guard result == -EIO || result == -EINVAL else {
        return Self.isFull(result) ? 0 : batch.bytes.count
      }
      if result == -EIO { hasSegmentation = false }
    }
    var offset = 0
    // An empty datagram is one as well.
    repeat {
      let size = min(batch.segmentSize, batch.bytes.count - offset)
      var single = batch
      single.bytes = UnsafeRawBufferPointer(rebasing: batch.bytes[offset..<offset + size])
      single.segmentSize = size
      if Self.isFull(trySend(single)) { return offset }
      offset += size
    } while offset < batch.bytes.count
    return offset
  }

  private func trySend(_ batch: DatagramBatch) -> Int32 {
    guard let raw = descriptor?.raw else { return -EBADF }
    // A connected socket is told neither end: that would cost a look at the routing table.
    var message = qtun_transmit(
      base: batch.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
      length: UInt32(batch.bytes.count), segment_size: UInt32(batch.segmentSize),
      remote: isConnected ? qtun_address() : batch.path.remote.raw,
      local: isConnected ? qtun_address() : batch.path.local.raw, ecn: batch.ecn.rawValue,
      hop_limit: batch.hopLimit ?? 0)
    let result = qtun_udp_send(raw, isIPv4, &message, 1)
    if result == -ECONNREFUSED { receiver?.datagramSocketRefused(self) }
    return result
  }

  /// Every other error is a lost datagram: EMSGSIZE is a probe too large for the device,
  /// ENETUNREACH and EPERM are a road that is closed for now.
  private static func isFull(_ result: Int32) -> Bool {
    result == -EAGAIN || result == -ENOBUFS
  }

  private struct Stash {
    var bytes: [UInt8]
    let segmentSize: Int
    let path: NetworkPath
    let ecn: ECN
    let hopLimit: UInt8?
  }

  /// With GRO one receive brings up to 1 MiB; two let timers run between bursts.
  private static let receivesPerTick = 2
  /// While what is received is set aside for the most part: half a millisecond, or so many bytes.
  private static let receivesPerTickMax = 32
  private static let bytesPerTickMax = 1 << 20
  /// A full buffer of a few megabytes drains on the order of milliseconds.
  private static let retryDelay = Duration.microseconds(500)
}
