public import QuicTransport

/// Answers STUN Binding requests (RFC 8489 §6.3.1) and keeps nothing but a rate per source.
///
/// An answer has 40 to 84 bytes and the smallest request 20, so a forged source address gets up to
/// about four bytes for one. No STUN server can avoid that: standard requests are that small. It is
/// bounded instead: by `answersPerSecond` for each source network and for all of them together, so
/// that what a victim receives is less than a keepalive's worth.
public struct STUNResponder {
  /// Another address and port of this server, when it has both; lets clients test their filters
  /// (RFC 5780 §6).
  public var otherAddress: SocketAddress?
  private var all: TokenBucket
  private var sources: [UInt64: TokenBucket] = [:]
  /// When `sources` was emptied last.
  private var cleared: Instant

  /// A responder with a full rate.
  public init(otherAddress: SocketAddress?, now: Instant) {
    self.otherAddress = otherAddress
    all = TokenBucket(rate: Self.answersPerSecondTotal, burst: Self.answersPerSecondTotal, now: now)
    cleared = now
  }

  /// An answer, and where it shall be sent from.
  public struct Answer: Equatable, Sendable {
    /// The bytes.
    public var bytes: [UInt8]
    /// From the socket at the other address or port instead of the one that was asked.
    public var change: STUNMessage.ChangeRequest
  }

  /// The answer to a datagram; nil for what deserves none.
  public mutating func answer(
    _ datagram: [UInt8], from source: SocketAddress, now: Instant
  ) -> Answer? {
    guard datagram.count <= Self.requestBytesMax, let request = STUNMessage(datagram),
      request.kind == .request, source.port != 0, isAllowed(source, now: now)
    else { return nil }
    var unknown = request.notUnderstood
    let change = request.changeRequest ?? .init(address: false, port: false)
    // RFC 5780 §7.2: a server without another address does not know the attribute.
    if change.address || change.port, otherAddress == nil { unknown.append(0x0003) }
    guard unknown.isEmpty else {
      var refusal = STUNMessage(kind: .error, transaction: request.transaction)
      refusal.errorCode = 420
      refusal.unknownAttributes = Array(unknown.prefix(Self.unknownMax))
      return Answer(bytes: refusal.encoded, change: .init(address: false, port: false))
    }
    var reply = STUNMessage(kind: .success, transaction: request.transaction)
    reply.mappedAddress = source
    reply.otherAddress = otherAddress
    return Answer(bytes: reply.encoded, change: change)
  }

  private mutating func isAllowed(_ source: SocketAddress, now: Instant) -> Bool {
    if sources.count >= Self.sourcesMax || now - cleared > Self.memory {
      sources.removeAll(keepingCapacity: true)
      cleared = now
    }
    // One IPv4 address, or one IPv6 network: a host has a whole /64 to forge from.
    let key = source.ipv4.map(UInt64.init) ?? source.high
    let rate = Self.answersPerSecond
    var bucket = sources[key] ?? TokenBucket(rate: rate, burst: 2 * rate, now: now)
    defer { sources[key] = bucket }
    return bucket.take(now: now) && all.take(now: now)
  }

  /// A household behind one address asks a few times each; 20 answers are 1.7 kB per second.
  static let answersPerSecond = 20.0
  /// Keeps a flood of forged sources below one core and 0.7 Mbit/s.
  static let answersPerSecondTotal = 1_000.0
  /// Sources that are remembered, about 64 bytes each.
  static let sourcesMax = 4_096
  static let memory = Duration.seconds(60)
  /// Requests with credentials stay below this.
  static let requestBytesMax = 548
  /// UNKNOWN-ATTRIBUTES in a refusal; one would do for the client.
  static let unknownMax = 8
}
