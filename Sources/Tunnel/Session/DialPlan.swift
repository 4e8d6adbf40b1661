internal import QuicTransport

/// The race of a ticket's addresses and kinds of carrier (after RFC 8305 §5): each attempt gets a
/// head start, better ones go first, and the caller ends the race when one has won.
///
///     t = 0        UDP to the first address, 50 ms later to the second, ...
///     t = 250 ms   TCP to the first address, ...
///     t = 750 ms   WebSocket to the first address, ...
struct DialPlan {
  /// One attempt: when, from the start, and how.
  struct Attempt: Equatable {
    let delay: Duration
    let address: SocketAddress
    let kind: CarrierKind
  }

  /// In the order of their time.
  let attempts: [Attempt]

  /// - Parameter reachesUDP: whether there is a road for UDP at all; where there is none, nothing
  ///   waits for it.
  init(addresses: [SocketAddress], policy: CarrierPolicy, reachesUDP: Bool) {
    var attempts: [Attempt] = []
    var start = Duration.zero
    for kind in CarrierKind.allCases where kind != .relay && policy.allows(kind) {
      for (index, address) in addresses.enumerated() {
        attempts.append(
          Attempt(delay: start + Self.headStart * index, address: address, kind: kind))
      }
      if kind != .udp || reachesUDP { start += Self.headStart(of: kind) }
    }
    self.attempts = attempts.sorted { ($0.delay, $0.kind) < ($1.delay, $1.kind) }
  }

  /// A good handshake on a local network takes a few milliseconds; RFC 8305 §8 recommends 250 ms
  /// for strangers, but a superfluous attempt costs nothing here but one packet.
  private static let headStart = Duration.milliseconds(50)
  /// How long a kind may have the race for itself: UDP that passes has answered by then on most
  /// paths, and TCP, which takes three round trips, has as well.
  private static func headStart(of kind: CarrierKind) -> Duration {
    kind == .udp ? .milliseconds(250) : .milliseconds(500)
  }
}
