internal import QuicTransport

/// Puts datagrams into the byte stream of a carrier, in the form that its kind has.
struct CarrierEncoder {
  /// TCP until a client asks for a WebSocket.
  var kind: CarrierKind
  /// Of a WebSocket: whether this side is the client.
  private let isMasking: Bool
  private var keys = WebSocketMaskKeys()

  init(kind: CarrierKind, isServer: Bool) {
    self.kind = kind
    isMasking = !isServer
  }

  /// Hands the frame of one datagram of 1 to 65535 bytes to `write`, in one piece, so that a small
  /// datagram takes one TLS record.
  mutating func encode(
    _ datagram: UnsafeRawBufferPointer, write: (UnsafeRawBufferPointer) -> Void
  ) {
    precondition((1...Int(UInt16.max)).contains(datagram.count))
    guard kind != .webSocket else { return encode(.binary, datagram, write: write) }
    withScratch(FrameHeader.byteCount + datagram.count, write) { frame in
      FrameHeader.write(datagram.count, to: frame)
      UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.byteCount...])
        .copyMemory(from: datagram)
    }
  }

  /// One whole frame of a WebSocket (RFC 6455 §5.2).
  mutating func encode(
    _ opcode: WebSocketOpcode, _ payload: UnsafeRawBufferPointer,
    write: (UnsafeRawBufferPointer) -> Void
  ) {
    let extended = payload.count > 125 ? (payload.count > 0xffff ? 8 : 2) : 0
    let start = 2 + extended + (isMasking ? 4 : 0)
    let key = isMasking ? keys.next() : 0
    let isMasking = isMasking
    withScratch(start + payload.count, write) { frame in
      frame[0] = 0x80 | opcode.rawValue
      let length = extended == 0 ? payload.count : (extended == 2 ? 126 : 127)
      frame[1] = UInt8(length) | (isMasking ? 0x80 : 0)
      for index in 0..<extended {
        frame[2 + index] = UInt8(truncatingIfNeeded: payload.count >> (8 * (extended - 1 - index)))
      }
      let body = UnsafeMutableRawBufferPointer(rebasing: frame[start...])
      body.copyMemory(from: payload)
      guard isMasking else { return }
      frame.storeBytes(of: key, toByteOffset: start - 4, as: UInt32.self)
      WebSocketMask.apply(key, to: body, phase: 0)
    }
  }

  /// Memory for one frame. Not kept: of thousands of carriers, most are idle.
  private func withScratch(
    _ count: Int, _ write: (UnsafeRawBufferPointer) -> Void,
    fill: (UnsafeMutableRawBufferPointer) -> Void
  ) {
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { frame in
      fill(frame)
      write(UnsafeRawBufferPointer(frame))
    }
  }
}
