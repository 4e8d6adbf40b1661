/// Sums of a forwarder since it began.
public struct ForwardingTotals: Sendable {
  /// Sessions in all, and those that are open.
  public internal(set) var sessions = 0
  /// Sessions that are open.
  public internal(set) var sessionsOpen = 0
  /// Datagrams that were forwarded.
  public var datagrams: UInt64 { carriers.reduce(0) { $0 + $1.datagrams } }
  /// Bytes of them, without our header.
  public var bytes: UInt64 { carriers.reduce(0) { $0 + $1.bytes } }
  /// Legs that moved to another address.
  public internal(set) var bindings = 0
  /// Messages that would have moved a leg, and came too fast.
  public internal(set) var bindingsThrottled: UInt64 = 0
  /// Datagrams of no session, or from no leg of it.
  public internal(set) var datagramsUnknown: UInt64 = 0
  /// Lost because a session, an identity, an address or a token sent more than it may.
  public var datagramsThrottled: UInt64 { throttled.reduce(0, +) }
  /// Lost because the relay had more to send than it may.
  public internal(set) var datagramsCrowdedOut: UInt64 = 0
  /// Datagrams that came in on another core's loop than their session's, and were passed on.
  public internal(set) var datagramsHandedOver: UInt64 = 0
  /// Lost because the loop that they were passed on to does not keep up.
  public internal(set) var datagramsOverrun: UInt64 = 0
  /// What each core forwards; one where there is one.
  public internal(set) var shards: [Shard] = []

  /// By what carried them to the node; in the order of `CarrierKind`.
  private var carriers = [Traffic](repeating: Traffic(), count: CarrierKind.allCases.count)
  /// In the order of `ForwardingRate`.
  var throttled = [UInt64](repeating: 0, count: ForwardingRate.allCases.count)

  /// Datagrams and their bytes, without our header.
  public struct Traffic: Equatable, Sendable {
    /// How many.
    public internal(set) var datagrams: UInt64 = 0
    /// Of all of them.
    public internal(set) var bytes: UInt64 = 0
  }

  /// The part of one core.
  public struct Shard: Equatable, Sendable {
    /// Sessions that are open.
    public internal(set) var sessionsOpen = 0
    /// Datagrams that it forwarded.
    public internal(set) var datagrams: UInt64 = 0
    /// Bytes of them, without our header.
    public internal(set) var bytes: UInt64 = 0
    /// Datagrams that it passed on to other cores.
    public internal(set) var datagramsHandedOver: UInt64 = 0
  }

  /// All zero.
  public init() {}

  /// What went to nodes over such carriers.
  public func traffic(over kind: CarrierKind) -> Traffic {
    carriers[kind.rawValue]
  }

  /// Datagrams that were lost because this rate was used up.
  public func throttled(by rate: ForwardingRate) -> UInt64 { throttled[rate.rawValue] }

  mutating func count(_ bytes: Int, over kind: CarrierKind) {
    carriers[kind.rawValue].datagrams += 1
    carriers[kind.rawValue].bytes += UInt64(bytes)
  }
}

/// What a forwarder counts, as numbers in a row.
extension ForwardingTotals {
  static let numbersCount =
    6 + 2 * CarrierKind.allCases.count + ForwardingRate.allCases.count

  func forEachNumber(_ body: (UInt64) -> Void) {
    body(UInt64(bindings))
    body(bindingsThrottled)
    body(datagramsUnknown)
    body(datagramsCrowdedOut)
    body(datagramsHandedOver)
    body(datagramsOverrun)
    for traffic in carriers {
      body(traffic.datagrams)
      body(traffic.bytes)
    }
    for count in throttled { body(count) }
  }

  init(numbers: [UInt64]) {
    precondition(numbers.count == Self.numbersCount)
    bindings = Int(numbers[0])
    bindingsThrottled = numbers[1]
    datagramsUnknown = numbers[2]
    datagramsCrowdedOut = numbers[3]
    datagramsHandedOver = numbers[4]
    datagramsOverrun = numbers[5]
    for index in carriers.indices {
      carriers[index] = Traffic(datagrams: numbers[6 + 2 * index], bytes: numbers[7 + 2 * index])
    }
    throttled = Array(numbers.suffix(throttled.count))
  }

  mutating func add(_ other: ForwardingTotals) {
    var numbers: [UInt64] = []
    forEachNumber { numbers.append($0) }
    var index = 0
    other.forEachNumber { number in
      numbers[index] += number
      index += 1
    }
    self = ForwardingTotals(numbers: numbers)
  }
}

/// What a datagram may be too much for.
public enum ForwardingRate: Int, CaseIterable, Sendable {
  case session
  case identity
  case address
  case token
}
