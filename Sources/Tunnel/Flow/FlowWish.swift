internal import QuicTransport

/// What a local connection shall become.
struct FlowWish {
  /// The first bytes of the stream.
  let header: [UInt8]
  /// Of its service, or where the listener is, for people.
  let name: String
  /// Whether the peer's data begins with a `GoAhead`.
  let awaitsGoAhead: Bool
  /// What the local program sent before it had its answer; for the far end.
  var early: [UInt8] = []
  /// How the local program is told whether its destination was reached; nil where it expects no
  /// words.
  var dialect: ProxyDialect?

  /// A flow to a service, and to a destination where the service is a dynamic one.
  init(header: FlowHeader, early: [UInt8] = [], dialect: ProxyDialect? = nil) {
    self.header = header.encoded
    name = header.service
    awaitsGoAhead = header.destination != nil
    self.early = early
    self.dialect = dialect
  }

  /// A flow of a listener that the peer asked for, at this address.
  init(header: ReverseHeader, listener: SocketAddress) {
    self.header = header.encoded
    name = listener.description
    awaitsGoAhead = false
  }

  /// A flow to what stands behind a service.
  static func service(_ name: String) -> FlowWish {
    FlowWish(header: FlowHeader(kind: .tcp, service: name))
  }
}
