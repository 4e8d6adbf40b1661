import QuicTransport

/// The client side of an application protocol on one connection: fetches a list of files.
protocol FetchSession: ConnectionDelegate {
  /// Closes the connection the way the protocol wants it.
  func close(_ connection: ConnectionCore)
}
