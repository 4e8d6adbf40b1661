/// What a local connection shall become.
struct FlowWish {
  /// The service, and the destination where the service is a dynamic one.
  var header: FlowHeader
  /// What the local program sent before it had its answer; for the far end.
  var early: [UInt8] = []
  /// How the local program is told whether its destination was reached; nil where it expects no
  /// words.
  var dialect: ProxyDialect?

  /// A flow to what stands behind a service.
  static func service(_ name: String) -> FlowWish {
    FlowWish(header: FlowHeader(kind: .tcp, service: name))
  }
}
