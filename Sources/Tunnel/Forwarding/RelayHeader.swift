/// What stands in front of every datagram between a node and its relay. docs/protocol.md has the
/// bytes and test vectors.
///
///     0x2b (1), kind (1), sequence (2), session (4), generation (4): 12 bytes
///
/// The relay takes a datagram by its session and by the path it came on, and nothing else.
struct RelayHeader: Equatable {
  var kind: Kind
  /// Counts the datagrams of one sender in one direction, so that the other end can tell losses.
  var sequence: UInt16
  /// Random, so that it cannot be guessed; names both legs. Its first byte leads to the core of the
  /// relay that has the session; to nodes it means nothing.
  var session: UInt32
  /// Of the node's leg, in both directions: begins at random and grows with every binding.
  var generation: UInt32

  /// What follows the header.
  enum Kind: UInt8 {
    /// A QUIC packet or path message of the two nodes.
    case data = 0
    /// Node to relay: shall come from this address from now on.
    case bind = 1
    /// Relay to node: prove that you hear what is sent to this address.
    case challenge = 2
    /// Node to relay: the proof.
    case answer = 3
    /// Relay to node: done.
    case bound = 4
  }

  static let byteCount = 12
  static let firstByte: UInt8 = 0x2b
  /// Where the byte is that `DatagramSteering` goes by: the first of the session.
  static let shardOffset = 4

  /// The core that has a session, of `count`.
  static func shard(of session: UInt32, count: Int) -> Int { Int(session >> 24) % count }

  /// Nil for whatever is too short, or of a kind that we do not know.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount, bytes[0] == Self.firstByte,
      let kind = Kind(rawValue: bytes[1])
    else { return nil }
    self.kind = kind
    sequence = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    session = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    generation = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
  }

  init(kind: Kind, sequence: UInt16, session: UInt32, generation: UInt32) {
    self.kind = kind
    self.sequence = sequence
    self.session = session
    self.generation = generation
  }

  /// Writes 12 bytes.
  func write(to target: UnsafeMutableRawBufferPointer) {
    target[0] = Self.firstByte
    target[1] = kind.rawValue
    target.storeBytes(of: sequence.bigEndian, toByteOffset: 2, as: UInt16.self)
    target.storeBytes(of: session.bigEndian, toByteOffset: 4, as: UInt32.self)
    target.storeBytes(of: generation.bigEndian, toByteOffset: 8, as: UInt32.self)
  }

  /// The same 12 bytes as an array; for what is not sent per packet.
  var encoded: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
      write(to: UnsafeMutableRawBufferPointer(buffer))
      count = Self.byteCount
    }
  }
}
