/// Puts datagrams into a byte stream; see `FrameDecoder` for the form.
enum FrameEncoder {
  /// What the client sends first. Its first byte tells it from an HTTP request.
  static let preface: [UInt8] = [0x2a] + Array("qtun/1".utf8) + [0x0a]

  /// Hands the frame of one datagram of 1 to 65535 bytes to `write`, in one piece, so that a small
  /// datagram takes one TLS record.
  static func encode(_ datagram: UnsafeRawBufferPointer, write: (UnsafeRawBufferPointer) -> Void) {
    precondition((1...Int(UInt16.max)).contains(datagram.count))
    withUnsafeTemporaryAllocation(byteCount: datagram.count + 2, alignment: 1) { frame in
      frame[0] = UInt8(datagram.count >> 8)
      frame[1] = UInt8(truncatingIfNeeded: datagram.count)
      UnsafeMutableRawBufferPointer(rebasing: frame[2...]).copyMemory(from: datagram)
      write(UnsafeRawBufferPointer(frame))
    }
  }
}
