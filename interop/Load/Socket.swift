import Glibc

/// One blocking TCP socket; closing is the deinit's job, so no path can leak a descriptor.
final class Socket: Sendable {
  private let descriptor: Int32

  /// Takes ownership of an open descriptor.
  private init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Connects; `timeoutSeconds` bounds the connect and each later send and receive.
  static func connect(to address: Address, timeoutSeconds: Int) throws(LoadError) -> Socket {
    let socket = try open(family: address.family)
    var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    try socket.set(SOL_SOCKET, SO_RCVTIMEO, &limit)
    try socket.set(SOL_SOCKET, SO_SNDTIMEO, &limit)
    try socket.sendAtOnce()
    let result = address.withSockaddr { Glibc.connect(socket.descriptor, $0, $1) }
    guard result == 0 else { throw .current("connect to \(address)") }
    return socket
  }

  /// Listens with the longest queue that the kernel grants.
  static func listen(on address: Address) throws(LoadError) -> Socket {
    let socket = try open(family: address.family)
    var isOn: Int32 = 1
    try socket.set(SOL_SOCKET, SO_REUSEADDR, &isOn)
    guard address.withSockaddr({ bind(socket.descriptor, $0, $1) }) == 0 else {
      throw .current("bind \(address)")
    }
    guard Glibc.listen(socket.descriptor, 65_535) == 0 else { throw .current("listen") }
    return socket
  }

  /// Waits for the next connection; any number of threads may wait on one listener.
  func accept() throws(LoadError) -> Socket {
    while true {
      let accepted = Glibc.accept(descriptor, nil, nil)
      if accepted >= 0 {
        let socket = Socket(descriptor: accepted)
        try socket.sendAtOnce()
        return socket
      }
      guard errno == EINTR || errno == ECONNABORTED else { throw .current("accept") }
    }
  }

  /// This side's address, for a listener on port 0 and for matching kernel tables.
  var localAddress: Address { address(of: getsockname) }

  /// The other side's address.
  var peerAddress: Address { address(of: getpeername) }

  /// Sends everything or throws.
  func send(_ bytes: UnsafeRawPointer, count: Int) throws(LoadError) {
    var sent = 0
    while sent < count {
      let result = Glibc.send(descriptor, bytes + sent, count - sent, Int32(MSG_NOSIGNAL))
      if result > 0 {
        sent += result
      } else if errno != EINTR {
        throw .current("send")
      }
    }
  }

  /// Sends a line of the instrument's protocol.
  func send(line: String) throws(LoadError) {
    let bytes = Array((line + "\n").utf8)
    try send(bytes, count: bytes.count)
  }

  /// Sends what fits now; waits only when nothing does. Returns how much the kernel accepted.
  ///
  /// A blocking send would hide how far it got, and the `stall` measurement needs to know that.
  func sendSome(_ bytes: UnsafeRawPointer, count: Int) throws(LoadError) -> Int {
    let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
    while true {
      let result = Glibc.send(descriptor, bytes, count, flags)
      if result > 0 { return result }
      guard errno == EAGAIN || errno == EINTR else { throw .current("send") }
      var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      poll(&entry, 1, -1)
    }
  }

  /// Receives what is there; returns 0 at the end of the stream.
  func receive(into buffer: UnsafeMutableRawPointer, max: Int) throws(LoadError) -> Int {
    while true {
      let result = recv(descriptor, buffer, max, 0)
      if result >= 0 { return result }
      if errno != EINTR { throw .current("receive") }
    }
  }

  /// Receives exactly `count` bytes or throws.
  func receive(into buffer: UnsafeMutableRawPointer, count: Int) throws(LoadError) {
    var received = 0
    while received < count {
      let result = try receive(into: buffer + received, max: count - received)
      guard result > 0 else { throw .closed("\(received) of \(count) bytes received") }
      received += result
    }
  }

  /// Receives one line, byte by byte so that nothing behind it is taken; nil at the end.
  func receiveLine() throws(LoadError) -> String? {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while line.count < Self.lineBytesMax {
      guard try receive(into: &byte, max: 1) == 1 else { return nil }
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
    }
    throw .protocolViolation("line longer than \(Self.lineBytesMax) bytes")
  }

  /// Ends the sending direction; the other side sees the end of the stream.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Makes the coming close a reset instead of an orderly end.
  func resetOnClose() throws(LoadError) {
    var value = linger(l_onoff: 1, l_linger: 0)
    try set(SOL_SOCKET, SO_LINGER, &value)
  }

  // MARK: -

  /// More than the longest request: a mode, two 20-digit numbers and spaces.
  private static let lineBytesMax = 80

  private static func open(family: Int32) throws(LoadError) -> Socket {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw .current("socket") }
    return Socket(descriptor: descriptor)
  }

  /// Small messages must not wait for each other (Nagle), or latency measures the kernel's timer.
  private func sendAtOnce() throws(LoadError) {
    var isOn: Int32 = 1
    try set(Int32(IPPROTO_TCP), TCP_NODELAY, &isOn)
  }

  private func set<Value: BitwiseCopyable>(
    _ level: Int32, _ name: Int32, _ value: inout Value
  ) throws(LoadError) {
    let length = socklen_t(MemoryLayout<Value>.size)
    guard setsockopt(descriptor, level, name, &value, length) == 0 else {
      throw .current("setsockopt")
    }
  }

  private func address(
    of call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) -> Address {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // SAFETY: the kernel writes at most `length` bytes, and the storage has that many.
    withUnsafeMutableBytes(of: &storage) {
      _ = call(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    return Address(storage: storage, length: length)
  }
}
