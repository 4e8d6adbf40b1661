/// The names of log fields: a closed list, so that lines can be searched and parsed for years.
enum LogKey: String, CaseIterable, Sendable {
  /// An address of this machine or, without context, the one the line is about.
  case address
  /// Bytes that the peer sent us.
  case bytesReceived = "bytes_received"
  /// Bytes that we sent to the peer.
  case bytesSent = "bytes_sent"
  /// Why something happened, in words.
  case cause
  /// What is different now, as `name: old -> new`.
  case change
  /// A numeric error or close code.
  case code
  /// A congestion controller.
  case congestion
  /// How many.
  case count
  /// UDP datagrams that this side dropped.
  case datagramsDropped = "datagrams_dropped"
  /// UDP datagrams that came from the peer.
  case datagramsReceived = "datagrams_received"
  /// UDP datagrams that went to the peer.
  case datagramsSent = "datagrams_sent"
  /// How long.
  case duration
  /// The identity that should have been presented.
  case expected
  /// A file name.
  case file
  /// What to do about it.
  case fix
  /// The number of a flow within its session.
  case flow
  /// How many flows.
  case flows
  /// A fingerprint of a public key; never the key of a secret.
  case identity
  /// A bound that was reached.
  case limit
  /// The method of an HTTP request.
  case method
  /// A path's label: which carrier, between which addresses.
  case path
  /// The other side: its fingerprint or address.
  case peer
  /// The identity that was presented.
  case presented
  /// A round-trip time.
  case rtt
  /// The name of a shared service.
  case service
  /// The number of a session within this run.
  case session
  /// A signal's name.
  case signal
  /// How many equal lines were held back before this one.
  case suppressed
  /// The service behind a share.
  case target
  /// The status of an HTTP answer.
  case status
  /// The name of a relay's token; never the token.
  case token
  /// Set where a line had to leave fields out.
  case truncated
  /// A version of a program or protocol.
  case version
}

// Factories, so that a call reads `log.debug("path validated", .path(label), .rtt(time))`.
extension LogField {
  /// An address of this machine, or the one the line is about.
  static func address(_ text: String) -> LogField { LogField(.address, text) }
  /// Bytes that the peer sent us.
  static func bytesReceived(_ count: UInt64) -> LogField {
    LogField(.bytesReceived, .bytes(count))
  }
  /// Bytes that we sent to the peer.
  static func bytesSent(_ count: UInt64) -> LogField { LogField(.bytesSent, .bytes(count)) }
  /// What is different now.
  static func change(_ text: String) -> LogField { LogField(.change, text) }
  /// Why something happened.
  static func cause(_ text: String) -> LogField { LogField(.cause, text) }
  /// A numeric error or close code.
  static func code(_ number: Int64) -> LogField { LogField(.code, .integer(number)) }
  /// How many.
  static func count(_ number: Int64) -> LogField { LogField(.count, .integer(number)) }
  /// UDP datagrams that this side dropped.
  static func datagramsDropped(_ count: UInt64) -> LogField {
    LogField(.datagramsDropped, .integer(Int64(clamping: count)))
  }
  /// UDP datagrams that came from the peer.
  static func datagramsReceived(_ count: UInt64) -> LogField {
    LogField(.datagramsReceived, .integer(Int64(clamping: count)))
  }
  /// UDP datagrams that went to the peer.
  static func datagramsSent(_ count: UInt64) -> LogField {
    LogField(.datagramsSent, .integer(Int64(clamping: count)))
  }
  /// How long.
  static func duration(_ time: Duration) -> LogField { LogField(.duration, .time(time)) }
  /// A file name.
  static func file(_ path: String) -> LogField { LogField(.file, path) }
  /// What to do about it.
  static func fix(_ text: String) -> LogField { LogField(.fix, text) }
  /// The number of a flow within its session.
  static func flow(_ number: Int64) -> LogField { LogField(.flow, .integer(number)) }
  /// A fingerprint.
  static func identity(_ fingerprint: String) -> LogField { LogField(.identity, fingerprint) }
  /// A bound.
  static func limit(_ text: String) -> LogField { LogField(.limit, text) }
  /// A path's label.
  static func path(_ label: String) -> LogField { LogField(.path, label) }
  /// The method of an HTTP request.
  static func method(_ text: String) -> LogField { LogField(.method, text) }
  /// The other side.
  static func peer(_ text: String) -> LogField { LogField(.peer, text) }
  /// A round-trip time.
  static func rtt(_ time: Duration) -> LogField { LogField(.rtt, .time(time)) }
  /// The name of a shared service.
  static func service(_ name: String) -> LogField { LogField(.service, name) }
  /// A signal.
  static func signal(_ signal: StopSignal) -> LogField { LogField(.signal, signal.name) }
  /// The status of an HTTP answer.
  static func status(_ number: Int) -> LogField { LogField(.status, .integer(Int64(number))) }
  /// The name of a token.
  static func token(_ id: String) -> LogField { LogField(.token, id) }
  /// The service behind a share.
  static func target(_ address: String) -> LogField { LogField(.target, address) }
}
