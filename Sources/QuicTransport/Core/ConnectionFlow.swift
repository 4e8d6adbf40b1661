/// The receive side of connection-level flow control (RFC 9000 §4.1).
///
/// The limit told to the peer is: consumed + window + held, where held bytes count up to
/// `stalledMax`. Held bytes belong to streams whose consumer is slow; were they not counted, a few
/// stopped consumers would fill the window and stop everyone. So memory is bounded by
/// window + stalledMax, and only beyond that does a slow stream hold up its neighbours. All connections
/// of an endpoint share one bound besides: who opens many sessions does not multiply what one may hold.
struct ConnectionFlow {
  private var window: ReceiveWindow
  private let stalledMax: Int
  private(set) var consumed: UInt64 = 0
  private(set) var held = 0
  private(set) var granted: UInt64

  init(settings: TransportSettings, now: Instant) {
    window = ReceiveWindow(
      size: settings.connectionWindowInitial, max: settings.connectionWindowMax, now: now)
    stalledMax = settings.stalledBytesMax
    granted = UInt64(settings.connectionWindowInitial)
  }

  /// Bytes arrived and are held for a consumer.
  mutating func buffer(_ amount: Int) {
    held += amount
  }

  /// Held bytes were consumed.
  mutating func consume(_ amount: Int, roundTrip: Duration, now: Instant) {
    precondition(amount <= held)
    held -= amount
    consumed += UInt64(amount)
    _ = window.consume(amount, roundTrip: roundTrip, now: now)
  }

  /// By how much the peer's limit should rise now.
  ///
  /// - Parameter left: what all connections together may still hold, beyond a window for each.
  mutating func takeCredit(stalledMax left: Int) -> Int {
    let limit = consumed + UInt64(window.size + min(held, stalledMax, max(0, left)))
    guard limit > granted else { return 0 }
    let credit = limit - granted
    granted = limit
    return Int(credit)
  }
}
