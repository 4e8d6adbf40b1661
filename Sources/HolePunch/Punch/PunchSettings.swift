/// What may differ between networks and tastes; everything else is a constant beside its rule.
public struct PunchSettings: Sendable {
  /// Hop limits of primers: enough to leave our own NATs, too few to reach the peer's.
  public var primerHopLimits: [UInt8] = [3, 4, 5]
  /// Sockets that the hard side opens in a birthday search. Each needs a descriptor.
  public var birthdaySockets = 256
  /// Ports that the easy side tries: 1024 find one of 256 with 98.35 %, 2048 with 99.97 %. A tiny
  /// router may not hold more flows.
  public var birthdayProbes = 2_048
  /// Networks may change unnoticed, so even a hopeless search is tried again after this.
  public var birthdayRest = Duration.seconds(600)

  /// The defaults.
  public init() {}
}
