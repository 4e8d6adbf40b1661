internal import QuicTransport

extension ControlMessage {
  /// The dialler asks the sharing side to listen for it.
  struct Listen: Equatable {
    /// Names the listener from now on; no other one of the session has it.
    var number: UInt64
    var kind: ListenerKind
    /// Where; port 0 asks for a free one.
    var address: SocketAddress
  }

  /// What a listener takes.
  enum ListenerKind: Equatable {
    /// TCP connections; each becomes a stream that the sharing side opens.
    case tcp
    /// Of a later version.
    case unknown(UInt64)
  }

  /// What became of a LISTEN.
  struct Listening: Equatable {
    var number: UInt64
    var status: ListenStatus
    /// Where, with the real port; as it was asked for when there is no listener.
    var address: SocketAddress
  }

  /// The most listeners of one session: more than anybody types, and few descriptors.
  static let listenersMax = 64

  static func listen(_ reader: inout WireReader) -> ControlMessage? {
    guard let number = reader.varint(), let kind = reader.varint(),
      let address = reader.socketAddress()
    else { return nil }
    return .listen(
      Listen(number: number, kind: kind == 1 ? .tcp : .unknown(kind), address: address))
  }

  static func listening(_ reader: inout WireReader) -> ControlMessage? {
    guard let number = reader.varint(), let status = reader.varint(),
      let address = reader.socketAddress()
    else { return nil }
    return .listening(
      Listening(number: number, status: ListenStatus(number: status), address: address))
  }
}

/// What became of the wish that the sharing side listen.
public enum ListenStatus: Equatable, Sendable {
  case listening
  /// The sharing side does not allow the address, or no listening at all with this ticket.
  case notAllowed
  /// Another program has the address.
  case addressInUse
  /// The machine does not let the sharing side have it: no such address, or a port that needs a
  /// permission.
  case addressUnusable
  /// The session has as many listeners as it may have.
  case tooMany
  /// The sharing side cannot listen for that.
  case unknownKind
  /// A number of a later version.
  case other(UInt64)

  private static let numbered: [ListenStatus] = [
    .listening, .notAllowed, .addressInUse, .addressUnusable, .tooMany, .unknownKind,
  ]

  init(number: UInt64) {
    self = number < UInt64(Self.numbered.count) ? Self.numbered[Int(number)] : .other(number)
  }

  var number: UInt64 {
    if case .other(let number) = self { return number }
    return UInt64(Self.numbered.firstIndex(of: self) ?? 0)
  }
}

extension ControlMessage.ListenerKind {
  var number: UInt64 {
    switch self {
    case .tcp: 1
    case .unknown(let number): number
    }
  }
}

extension WireWriter {
  /// 16 bytes of address, IPv4 in mapped form (RFC 4291 §2.5.5.2), and 2 of port.
  mutating func socketAddress(_ address: SocketAddress) {
    uint64(address.high)
    uint64(address.low)
    uint16(address.port)
  }
}

extension WireReader {
  /// The same read; it has no zone.
  mutating func socketAddress() -> SocketAddress? {
    guard let high = uint64(), let low = uint64(), let port = uint16() else { return nil }
    return SocketAddress(high: high, low: low, port: port)
  }
}
