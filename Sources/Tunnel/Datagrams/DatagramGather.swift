internal import QuicTransport

/// Joins payloads for one place into batches of equal size, which leave in one system call (GSO).
///
/// A tick brings dozens of datagrams, most of them of one flow and one size. One per share or link;
/// `flush` at the end of each session's part of the tick.
final class DatagramGather {
  private var bytes: [UInt8] = []
  private var segmentSize = 0
  private var segments = 0
  private var socket: (any DatagramSocket)?
  private var path = NetworkPath(local: .any, remote: .any)

  /// Takes a payload; false when the socket takes nothing for now.
  func send(
    _ payload: UnsafeRawBufferPointer, through socket: any DatagramSocket, on path: NetworkPath
  ) -> Bool {
    if !joins(payload.count, socket, path) { flush() }
    guard !socket.isBlocked else { return false }
    if segments == 0 {
      self.socket = socket
      self.path = path
      segmentSize = payload.count
    }
    bytes.append(contentsOf: payload)
    segments += 1
    // Nothing may follow a shorter one, or an empty one.
    if payload.count < segmentSize || payload.isEmpty { flush() }
    return true
  }

  /// Sends what was taken.
  func flush() {
    guard segments > 0, let socket else { return }
    bytes.withUnsafeBytes { bytes in
      // A socket that is full keeps the batch, and says so when it is asked next.
      _ = socket.send(
        DatagramBatch(bytes: bytes, segmentSize: segmentSize, path: path, ecn: .notCapable))
    }
    bytes.removeAll(keepingCapacity: true)
    segments = 0
    self.socket = nil
  }

  private func joins(_ count: Int, _ socket: any DatagramSocket, _ path: NetworkPath) -> Bool {
    segments > 0 && segments < Self.segmentsMax && self.socket === socket && self.path == path
      && (1...segmentSize).contains(count) && bytes.count + count <= Self.bytesMax
  }

  /// UDP_MAX_SEGMENTS of older kernels.
  private static let segmentsMax = 64
  /// The largest UDP payload over IPv4.
  private static let bytesMax = DatagramHeader.payloadMax
}
