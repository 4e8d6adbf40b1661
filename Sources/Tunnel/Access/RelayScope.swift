/// What somebody may do at a relay.
///
/// Plain values: whoever serves a request asks `relays`, `allows(port:)` or `allows(name:)`.
public struct RelayScope: Equatable, Sendable {
  /// To register, and so to be found, and to have datagrams relayed.
  public let relays: Bool
  /// The public ports to be served at.
  public let ports: [ClosedRange<UInt16>]
  /// The public names to be served under: `host.example.org`, `*.example.org` for every name below
  /// it, `*` for all.
  public var names: [String] { rules.patterns }
  private let rules: NameRules
  /// What may be relayed for all who use the token together, both ways; nil for no bound of its own.
  public let bytesPerSecond: Int?

  /// Everything that the relay offers.
  public static let everything = RelayScope(
    checked: true, ports: [1...UInt16.max], names: .everything, bytesPerSecond: nil)

  /// A scope; nil where a name is none, a rate is not positive, or there are more than `entriesMax`
  /// ports or names.
  public init?(
    relays: Bool, ports: [ClosedRange<UInt16>], names: [String], bytesPerSecond: Int?
  ) {
    guard let rules = try? NameRules(names), names.count <= Self.entriesMax,
      ports.count <= Self.entriesMax, ports.allSatisfy({ $0.lowerBound > 0 }),
      bytesPerSecond.map({ $0 > 0 && $0 <= Self.bytesPerSecondMax }) ?? true
    else { return nil }
    self.init(
      checked: relays, ports: ports, names: rules, bytesPerSecond: bytesPerSecond)
  }

  private init(
    checked relays: Bool, ports: [ClosedRange<UInt16>], names: NameRules, bytesPerSecond: Int?
  ) {
    self.relays = relays
    self.ports = ports
    rules = names
    self.bytesPerSecond = bytesPerSecond
  }

  /// Whether a public listener at this port is within it.
  public func allows(port: UInt16) -> Bool { ports.contains { $0.contains(port) } }

  /// Whether a public listener under this name is within it; in any case, with or without a final dot.
  /// `*` stands for those who name nobody.
  public func allows(name: String) -> Bool {
    guard name != PublicName.rest else { return rules.permit(name) }
    return PublicName.canonical(name).map(rules.permit) ?? false
  }

  /// Each is looked at for each request; who needs more wants a pattern or a wider range.
  public static let entriesMax = 64
  /// 8 Tbit/s, so that sums of it cannot overflow.
  public static let bytesPerSecondMax = 1_000_000_000_000
}
