import Glibc

/// Packets of one end of the link in a file that Wireshark reads (pcap with nanoseconds, bare IP).
final class CaptureFile {
  private let descriptor: Int32

  init(_ path: String) throws(LinkError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .current("open \(path)") }
    // Magic for nanoseconds, version 2.4, two unused fields, the largest packet, LINKTYPE_RAW.
    try write([0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 65_535, 101], [])
  }

  deinit { close(descriptor) }

  /// Adds a packet as it is on this end; `now` is monotonic.
  func append(_ packet: Packet, now: UInt64) throws(LinkError) {
    let size = UInt32(packet.bytes.count)
    let second: UInt64 = 1_000_000_000
    try write([UInt32(now / second), UInt32(now % second), size, size], packet.bytes)
  }

  /// The numbers in the order of this machine, which the magic number tells, then the bytes.
  private func write(_ numbers: [UInt32], _ bytes: [UInt8]) throws(LinkError) {
    let record = numbers.withUnsafeBytes { Array($0) } + bytes
    guard Glibc.write(descriptor, record, record.count) == record.count else {
      throw .current("write a capture")
    }
  }
}
