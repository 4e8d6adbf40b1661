/// The header of a datagram between a program and a SOCKS relay (RFC 1928 §7):
///
///     0, 0 (reserved), fragment number, `DatagramTarget`, bytes
enum SocksDatagram {
  /// What is passed on: the target and the bytes; nil for what is dropped, a fragment, or a datagram
  /// that names no target. Putting fragments together is optional, and nobody sends them.
  static func body(of datagram: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard datagram.count > prefixSize, datagram[2] == 0 else { return nil }
    let body = UnsafeRawBufferPointer(rebasing: datagram[prefixSize...])
    return DatagramTarget.decode(body) == nil ? nil : body
  }

  /// Puts the header in front of an answer, which begins with where it comes from.
  ///
  /// - Returns: the bytes of `memory`, which has `prefixSize` more than `body`; nil where the peer
  ///   names no address.
  static func datagram(
    _ body: UnsafeRawBufferPointer, in memory: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer? {
    guard case .address = DatagramTarget.decode(body)?.target else { return nil }
    let count = prefixSize + body.count
    for index in 0..<prefixSize { memory[index] = 0 }
    UnsafeMutableRawBufferPointer(rebasing: memory[prefixSize..<count]).copyBytes(from: body)
    return UnsafeRawBufferPointer(rebasing: memory[..<count])
  }

  /// Bytes in front of the target.
  static let prefixSize = 3
}
