/// A TLS ClientHello of our own making (RFC 8446 §4.1.2), in parts that a test may spoil.
struct ClientHello {
  /// The body of the server_name extension; nil for a ClientHello without one.
  var serverName: [UInt8]?
  /// Extensions besides, whole.
  var others: [[UInt8]] = [[0, 43, 0, 3, 2, 3, 4]]
  /// Old clients end behind the compression methods.
  var hasExtensions = true
  /// Bytes of handshake in each record.
  var recordSize = 16_384

  init(_ name: String?) {
    serverName = name.map { Self.list([(0, Array($0.utf8))]) }
  }

  /// The body of a server_name extension.
  static func list(_ names: [(kind: UInt8, name: [UInt8])]) -> [UInt8] {
    vector(2, names.flatMap { [$0.kind] + vector(2, $0.name) })
  }

  /// With a length of so many bytes in front.
  static func vector(_ size: Int, _ bytes: [UInt8]) -> [UInt8] {
    (0..<size).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) } + bytes
  }

  /// The handshake message.
  var message: [UInt8] {
    var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
    body += Self.vector(1, [UInt8](repeating: 9, count: 32))
    body += Self.vector(2, [0x13, 0x01, 0x13, 0x02]) + Self.vector(1, [0])
    if hasExtensions {
      let name = serverName.map { [[0, 0] + Self.vector(2, $0)] } ?? []
      body += Self.vector(2, (others + name).flatMap { $0 })
    }
    return [1] + Self.vector(3, body)
  }

  /// What goes over the wire.
  var bytes: [UInt8] {
    let message = message
    return stride(from: 0, to: message.count, by: recordSize).flatMap { start in
      [22, 3, 1] + Self.vector(2, Array(message[start..<min(start + recordSize, message.count)]))
    }
  }
}
