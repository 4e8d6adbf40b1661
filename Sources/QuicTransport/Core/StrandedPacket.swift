/// A packet that ngtcp2 counts as sent while the socket has no room for it; it leaves first once
/// there is. Dropping it would look like congestion.
struct StrandedPacket {
  private let bytes: [UInt8]
  private let segmentSize: Int
  private let path: NetworkPath
  private let ecn: ECN

  init(_ batch: DatagramBatch) {
    bytes = Array(batch.bytes)
    segmentSize = batch.segmentSize
    path = batch.path
    ecn = batch.ecn
  }

  func send(through host: any ConnectionHost) -> SendResult {
    bytes.withUnsafeBytes { bytes in
      host.send(DatagramBatch(bytes: bytes, segmentSize: segmentSize, path: path, ecn: ecn))
    }
  }
}
