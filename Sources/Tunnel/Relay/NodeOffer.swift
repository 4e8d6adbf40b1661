internal import HolePunch
internal import QuicTransport

/// How a node can be reached, as it tells its rendezvous.
struct NodeOffer: Equatable {
  /// Grows when the node opens another socket to be reached at; comes back in its plan.
  var number: UInt32
  /// Its network, as it found out itself.
  var report: NATReport
  /// Best first, `CandidateSet.countMax` at most; none that could not be one host's.
  var candidates: [Candidate]
}

extension WireWriter {
  mutating func offer(_ offer: NodeOffer) {
    varint(UInt64(offer.number))
    report(offer.report)
    candidates(offer.candidates)
  }

  /// Mapping, filtering, port mapping (0 for none), flags, port delta as a signed byte (0 for none),
  /// last port (0 for none): 7 bytes.
  mutating func report(_ report: NATReport) {
    byte(report.mapping.rawValue)
    byte(report.filtering.rawValue)
    byte(report.portMapping?.rawValue ?? 0)
    var flags: UInt8 = report.isUDPBlocked ? ReportFlags.isBlocked : 0
    if let preserves = report.preservesPort {
      flags |= ReportFlags.knowsPreserving | (preserves ? ReportFlags.preserves : 0)
    }
    if let hairpins = report.hairpins {
      flags |= ReportFlags.knowsHairpin | (hairpins ? ReportFlags.hairpins : 0)
    }
    byte(flags)
    byte(UInt8(bitPattern: Int8(clamping: report.portDelta ?? 0)))
    uint16(report.lastPort ?? 0)
  }

  mutating func candidates(_ candidates: [Candidate]) {
    let candidates = candidates.prefix(CandidateSet.countMax)
    varint(UInt64(candidates.count))
    for candidate in candidates {
      byte(UInt8(candidate.kind.rawValue))
      address(candidate.address)
    }
  }
}

extension WireReader {
  mutating func offer() -> NodeOffer? {
    guard let number = varint().flatMap({ UInt32(exactly: $0) }), let report = report(),
      let candidates = candidates()
    else { return nil }
    return NodeOffer(number: number, report: report, candidates: candidates)
  }

  /// Values of later versions count as unknown.
  mutating func report() -> NATReport? {
    guard let mapping = byte(), let filtering = byte(), let portMapping = byte(),
      let flags = byte(), let delta = byte(), let lastPort = uint16()
    else { return nil }
    var report = NATReport(
      mapping: NATReport.Mapping(rawValue: mapping) ?? .unknown,
      filtering: NATReport.Filtering(rawValue: filtering) ?? .unknown,
      portDelta: delta == 0 ? nil : Int(Int8(bitPattern: delta)))
    report.portMapping = NATReport.PortMappingProtocol(rawValue: portMapping)
    report.isUDPBlocked = flags & ReportFlags.isBlocked != 0
    if flags & ReportFlags.knowsPreserving != 0 {
      report.preservesPort = flags & ReportFlags.preserves != 0
    }
    if flags & ReportFlags.knowsHairpin != 0 {
      report.hairpins = flags & ReportFlags.hairpins != 0
    }
    report.lastPort = lastPort == 0 ? nil : lastPort
    return report
  }

  /// Leaves out kinds of later versions, and whatever is not the address of one host and port:
  /// nobody is to be sent to multicast groups. More than `CandidateSet.countMax` are malformed.
  mutating func candidates() -> [Candidate]? {
    guard let count = varint(), count <= UInt64(CandidateSet.countMax) else { return nil }
    var candidates: [Candidate] = []
    // A relay keeps them.
    candidates.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let kind = byte(), let address = address() else { return nil }
      guard let kind = Candidate.Kind(rawValue: Int(kind)), address.isUsable else { continue }
      candidates.append(Candidate(address: address, kind: kind))
    }
    return candidates
  }
}

private enum ReportFlags {
  static let isBlocked: UInt8 = 1
  static let knowsPreserving: UInt8 = 2
  static let preserves: UInt8 = 4
  static let knowsHairpin: UInt8 = 8
  static let hairpins: UInt8 = 16
}
