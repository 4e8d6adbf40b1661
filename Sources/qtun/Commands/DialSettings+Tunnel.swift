internal import QuicTransport
internal import Tunnel

extension DialSettings {
  /// Tells the library how to dial. Blocks while it looks names up.
  func apply(to configuration: inout Link.Configuration) throws(Failure) {
    configuration.carriers = carriers.policy
    configuration.proxy = try proxy?.resolve()
    configuration.path = staysOnRelay ? .relay : path
    configuration.waitDirect = waitDirect
    configuration.mapsPort = mapsPort
    for name in rendezvous { configuration.rendezvous.append(try name.resolve()) }
    if staysOnRelay, configuration.rendezvous.isEmpty, configuration.ticket.rendezvous.isEmpty {
      throw Failure(
        .configuration, "neither the ticket nor the command line names a relay",
        fix: "ask for a ticket of a share with --rendezvous, or leave --path relay out")
    }
  }
}

extension Link.Configuration {
  /// What a command makes of its ticket and of its way to dial.
  init(
    identity: Identity, ticket: Ticket, opening: Opening, session: Tunnel.SessionSettings,
    dialling: DialSettings, retry: RetryPolicy
  ) throws(Failure) {
    self.init(
      identity: identity, ticket: ticket, opening: opening, session: session,
      carriers: .automatic, proxy: nil, retry: retry)
    try dialling.apply(to: &self)
  }
}
