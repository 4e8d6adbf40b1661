/// What stands before the bytes of a UDP flow in a DATAGRAM frame (RFC 9221).
///
///     flow (varint), service (varint, towards the sharing side only), part
///     part:  0x00, bytes                                                        a whole datagram
///            0x01, number (varint), index (varint), count (varint), bytes       a fragment
///
/// It is never empty, so that an empty UDP datagram has a frame that is not: see `DatagramError`.
struct DatagramHeader: Equatable {
  var flow: UInt64
  /// The service's place in the WELCOME, plus `namedServices` where each datagram begins with a
  /// `DatagramTarget`; nil towards the dialling side, which chose it.
  var service: UInt64?
  var fragment: Fragment?

  /// One piece of a datagram that is larger than a packet.
  struct Fragment: Equatable {
    /// Counts the datagrams that a sender cuts.
    var number: UInt64
    /// Which piece, from 0, of how many.
    var index: Int
    /// At least 2 and at most `fragmentsMax`.
    var count: Int
  }

  /// Takes a frame apart; nil when it does not follow the protocol.
  ///
  /// - Returns: the header, and the bytes behind it, which may be none.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, namesService: Bool
  ) -> (header: DatagramHeader, payload: UnsafeRawBufferPointer)? {
    var reader = Reader(bytes: bytes)
    guard let flow = reader.varint() else { return nil }
    var header = DatagramHeader(flow: flow, service: nil, fragment: nil)
    if namesService {
      guard let service = reader.varint() else { return nil }
      header.service = service
    }
    guard let part = reader.byte() else { return nil }
    switch part {
    case wholePart: break
    case fragmentPart:
      guard let number = reader.varint(), let index = reader.varint(),
        let count = reader.varint(), (2...UInt64(fragmentsMax)).contains(count), index < count
      else { return nil }
      header.fragment = Fragment(number: number, index: Int(index), count: Int(count))
    default: return nil
    }
    return (header, reader.rest)
  }

  /// Writes it to memory of `sizeMax` bytes; returns how many it took.
  func write(to memory: UnsafeMutableRawBufferPointer) -> Int {
    var writer = Writer(memory: memory)
    writer.varint(flow)
    if let service { writer.varint(service) }
    if let fragment {
      writer.byte(Self.fragmentPart)
      writer.varint(fragment.number)
      writer.varint(UInt64(fragment.index))
      writer.varint(UInt64(fragment.count))
    } else {
      writer.byte(Self.wholePart)
    }
    return writer.count
  }

  /// The most fragments of a datagram: 65507 bytes in packets of 1200 make 58.
  static let fragmentsMax = 64
  /// Numbers of services from here on are for dynamic services.
  static let namedServices = UInt64(ControlMessage.servicesMax)
  /// The largest payload of UDP over IPv4.
  static let payloadMax = 65_507
  /// Six numbers of any length.
  static let sizeMax = 6 * 8
  private static let wholePart: UInt8 = 0
  private static let fragmentPart: UInt8 = 1
}

// MARK: - Varints in borrowed memory

extension DatagramHeader {
  /// `WireReader` over memory that is only lent, since this runs for each datagram.
  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(bytes: UnsafeRawBufferPointer) {
      self.bytes = bytes
    }

    var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[offset...]) }

    mutating func byte() -> UInt8? {
      guard offset < bytes.count else { return nil }
      defer { offset += 1 }
      return bytes[offset]
    }

    /// RFC 9000 §16
    mutating func varint() -> UInt64? {
      guard let first = byte() else { return nil }
      let more = 1 << Int(first >> 6) - 1
      guard offset + more <= bytes.count else { return nil }
      var value = UInt64(first & 0x3f)
      for byte in bytes[offset..<offset + more] { value = value << 8 | UInt64(byte) }
      offset += more
      return value
    }
  }

  private struct Writer {
    let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(memory: UnsafeMutableRawBufferPointer) {
      self.memory = memory
    }

    mutating func byte(_ value: UInt8) {
      memory[count] = value
      count += 1
    }

    /// RFC 9000 §16, in the shortest form.
    mutating func varint(_ value: UInt64) {
      let (prefix, length): (UInt64, Int) =
        switch value {
        case 0..<(1 << 6): (0, 1)
        case 0..<(1 << 14): (1, 2)
        case 0..<(1 << 30): (2, 4)
        default: (3, 8)
        }
      let word = value | prefix << (length * 8 - 2)
      for index in (0..<length).reversed() {
        byte(UInt8(truncatingIfNeeded: word >> (index * 8)))
      }
    }
  }
}
