/// What stands around datagrams on the TCP carrier; see `FrameDecoder` for the form.
enum FrameHeader {
  /// What the client sends first. Its first byte tells it from an HTTP request.
  static let preface: [UInt8] = [0x2a] + Array("qtun/1".utf8) + [0x0a]

  /// Of the length in front of each datagram.
  static let byteCount = 2

  static func write(_ length: Int, to frame: UnsafeMutableRawBufferPointer) {
    frame[0] = UInt8(length >> 8)
    frame[1] = UInt8(truncatingIfNeeded: length)
  }
}
