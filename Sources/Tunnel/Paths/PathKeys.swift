internal import QuicTransport

/// The keys of a session's path messages, one for each direction, from its TLS exporter
/// (RFC 8446 §7.5).
struct PathKeys {
  let session: SessionID
  let sending: SecretBytes
  let receiving: SecretBytes

  /// Nil before the handshake is done.
  init?(of connection: ConnectionCore) {
    let exported = connection.exportKeyingMaterial(
      label: "EXPORTER-qtun-paths", context: [], count: 72)
    guard let exported else { return nil }
    self.init(exported: exported, isServer: connection.isServer)
  }

  /// - Parameter exported: 8 bytes of session number, the client's key, the server's key.
  init?(exported: [UInt8], isServer: Bool) {
    var reader = WireReader(exported)
    guard let number = reader.uint64(), let client = reader.raw(32), let server = reader.raw(32)
    else { return nil }
    session = SessionID(number: number)
    sending = SecretBytes(isServer ? server : client)
    receiving = SecretBytes(isServer ? client : server)
  }
}
