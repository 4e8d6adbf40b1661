internal import CNgtcp2

/// A QUIC connection ID of up to 20 bytes (RFC 9000 §17.2), in a form that hashes without memory.
struct ConnectionID: Hashable {
  private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
  let count: Int

  /// Bytes of the IDs that we issue. The first one names the loop that owns the connection.
  static let issuedCount = 16
  /// What a client has to make up for its first packet, at least.
  static let initialCountMin = 8
  /// RFC 9000 §17.2; RFC 8999 allows more in other versions.
  static let countMax = 20

  init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= Self.countMax)
    count = bytes.count
    withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
  }

  init(_ cid: ngtcp2_cid) {
    var cid = cid
    let bytes = UnsafeRawBufferPointer(start: qtun_cid_bytes(&cid), count: cid.datalen)
    self.init(bytes)
  }

  /// A random ID for the loop with number `shard`.
  static func random(shard: UInt8) -> ConnectionID {
    withUnsafeTemporaryAllocation(byteCount: issuedCount, alignment: 8) { bytes in
      Crypto.random(bytes)
      bytes[0] = shard
      return ConnectionID(UnsafeRawBufferPointer(bytes))
    }
  }

  var cid: ngtcp2_cid {
    var cid = ngtcp2_cid()
    withUnsafeBytes(of: words) { words in
      qtun_cid_set(&cid, words.baseAddress?.assumingMemoryBound(to: UInt8.self), count)
    }
    return cid
  }

  static func == (left: ConnectionID, right: ConnectionID) -> Bool {
    left.words == right.words && left.count == right.count
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
  }
}
