internal import QuicTransport

extension LinkCore {
  /// Begins a UDP flow to the service of that name, with this end on our side; nil without a session
  /// that has it. What goes to a dynamic service begins with a `DatagramTarget`.
  func openDatagramFlow(to service: String, end: any DatagramEnd) -> DatagramFlow? {
    guard let session = openSession, !isDraining,
      let index = session.services.firstIndex(where: { $0.name == service })
    else { return nil }
    guard session.services[index].kind == .dynamic else {
      return session.datagrams?.openFlow(service: UInt64(index), end: end)
    }
    guard takesNamedDatagrams else { return nil }
    return session.datagrams?.openFlow(
      service: DatagramHeader.namedServices + UInt64(index), end: end)
  }

  /// Whether the sharing side passes datagrams on to targets that we name; the best is hoped for
  /// while there is no session.
  var takesNamedDatagrams: Bool {
    guard let session = openSession else { return true }
    return session.peerCapabilities & ControlMessage.Capability.namedDatagrams != 0
  }
}
