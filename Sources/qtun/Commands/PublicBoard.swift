internal import Glibc
internal import QuicTransport
internal import Tunnel

/// Prints the public addresses of a share, each once, when a relay has begun to listen there; and ends
/// the run if every relay refuses at first, which nobody should overlook.
final class PublicBoard: Sendable {
  private let names: [PublicKey: String]
  private let hasSeveral: Bool
  private let hidesQRCode: Bool
  private let state = Lock(State())

  private struct State {
    var printed: Set<PublicAddress> = []
    var refusing: Set<PublicKey> = []
    /// What waits until the ticket has been printed, which is the first line.
    var waiting: [PublicAddress]? = []
  }

  /// - Parameter settings: what the user calls the relays, and how many services there are.
  init(_ settings: ShareSettings) {
    hasSeveral = settings.services.count > 1
    hidesQRCode = settings.publicly.hidesQRCode
    names = Dictionary(
      settings.meeting.rendezvous.map { ($0.key, $0.address.host.text) },
      uniquingKeysWith: { first, _ in first })
  }

  /// A public address as visitors write it.
  func text(_ address: PublicAddress) -> String {
    Describe.place(address, relay: names[address.relay] ?? "")
  }

  /// The ticket has been printed.
  func begin(_ run: LoopRun) {
    let addresses = state.withLock { state in
      defer { state.waiting = nil }
      return state.waiting ?? []
    }
    for address in addresses { tell(address, run) }
  }

  /// Called on the loop.
  func take(_ event: TunnelEvent, _ run: LoopRun) {
    switch event {
    case .publicListening(let address):
      let isDue = state.withLock { state in
        guard state.printed.insert(address).inserted else { return false }
        state.waiting?.append(address)
        return state.waiting == nil
      }
      if isDue { tell(address, run) }
    case .publicRefused(let address, let status, isFirst: true):
      let isHopeless = state.withLock { state in
        state.refusing.insert(address.relay)
        return state.refusing.count >= names.count
      }
      if isHopeless { run.note(.over(.publicRefused(address, status))) }
    default: break
    }
  }

  private func tell(_ address: PublicAddress, _ run: LoopRun) {
    do throws(Failure) {
      try StandardOutput.tell(line(address, isJSON: run.settings.isJSON))
    } catch {
      run.log.warning("cannot print the public address", .cause(error.cause))
    }
    showQRCode(of: address, run)
  }

  /// For whoever stands beside the screen with a telephone: where both outputs are the screen.
  private func showQRCode(of address: PublicAddress, _ run: LoopRun) {
    guard !hidesQRCode, !run.settings.isQuiet, !run.settings.isJSON, address.kind != .udp,
      isatty(STDOUT_FILENO) == 1, let terminal = run.console.terminal,
      let lines = QRCode(text(address))?.lines(on: terminal)
    else { return }
    for line in lines { run.console.printLine(line) }
  }

  private func line(_ address: PublicAddress, isJSON: Bool) -> String {
    guard isJSON else {
      return hasSeveral ? "\(address.service) \(text(address))" : text(address)
    }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "public")
      result.member("service", address.service)
      result.member("kind", address.kind.rawValue)
      result.member("address", text(address))
      result.member("port", Int64(address.port))
      result.member("relay", address.relay.description)
    }
    return writer.text
  }
}
