internal import HolePunch
internal import QuicTransport

/// The network around this node: which port its gateway forwards, and what to do when it changes.
extension MeetingCore {
  /// What is known of the network by now.
  func report(of survey: NetworkSurvey) -> NATReport {
    guard let address = survey.reflexive.first?.with(port: 0) else { return survey.report }
    if survey.isComplete { measured = (survey.report, address) }
    // Behind another gateway, all is to be found out anew.
    guard let measured, measured.address == address else { return survey.report }
    return survey.report.completed(by: measured.report)
  }

  /// The gateway gave us a port, another one, or takes it back.
  func mappingChanged() {
    guard !isClosed, let mapping else { return }
    if let current = mapping.current {
      onEvent(.portMapped(current))
    } else if offer.report.portMapping != nil {
      onEvent(.portLost)
    }
    updateOffer()
  }

  /// Addresses or routes changed, or the machine woke up: relays are looked for, the port is asked
  /// for again if the way out is another one, and the network is measured anew. Rounds of punching
  /// follow from what has changed in the offer.
  func networkChanged() {
    guard !isClosed else { return }
    for client in clients { client.networkChanged() }
    ranking.networkChanged()
    guard path.looksForDirect else { return }
    mapping?.lookAgain()
    surveySoon()
  }
}
