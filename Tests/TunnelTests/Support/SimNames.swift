import Simulation

@testable import QuicTransport
@testable import Tunnel

/// The resolver of a simulated share.
final class SimNames {
  /// Names that are not here do not exist.
  var addresses: [String: [SocketAddress]] = [:]
  /// Every look-up, in order.
  private(set) var lookups: [String] = []
  /// Addresses of the sharing machine.
  var own: [SocketAddress] = []
  /// Nil never answers.
  var latency: Duration? = .milliseconds(5)

  private let loop: SimLoop

  init(loop: SimLoop) {
    self.loop = loop
  }

  var finder: TargetFinder {
    TargetFinder(
      lookUp: { [unowned self] name, completion in
        lookups.append(name)
        guard let latency else { return }
        let found = addresses[name]
        loop.after(latency) {
          completion(
            found.map { .success($0) }
              ?? .failure(ResolveError(host: name, reason: "no such name")))
        }
      }, ownAddresses: { [unowned self] in own })
  }
}
