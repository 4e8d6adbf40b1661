/// What a node knows of the network between it and the others, in the terms of RFC 4787.
public struct NATReport: Equatable, Sendable {
  /// How the NAT chooses the outside address of a flow (RFC 4787 §4.1).
  public var mapping: Mapping
  /// Whom the NAT lets in (RFC 4787 §5).
  public var filtering: Filtering
  /// The step between ports that it gives out one after the other; nil if there is no pattern.
  public var portDelta: Int?
  /// The newest outside port; the next ones are `portDelta` apart from here.
  public var lastPort: UInt16?
  /// Whether the outside port was the socket's own.
  public var preservesPort: Bool?
  /// Whether two hosts behind it reach each other by their outside addresses (RFC 4787 §6).
  public var hairpins: Bool?
  /// No server answered over UDP.
  public var isUDPBlocked: Bool
  /// Which protocol maps ports on request.
  public var portMapping: PortMappingProtocol?

  /// Nothing known yet.
  public init() {
    mapping = .unknown
    filtering = .unknown
    isUDPBlocked = false
  }

  /// A report about mapping and filtering.
  public init(mapping: Mapping, filtering: Filtering, portDelta: Int? = nil) {
    self.mapping = mapping
    self.filtering = filtering
    self.portDelta = portDelta
    isUDPBlocked = false
  }

  /// What a measurement that still goes on has found, and beside it what an earlier one of the same
  /// gateway knew: filtering takes a second and a half to find out, since nobody answers, and a plan
  /// that is made without it would break off what the one before has begun.
  public func completed(by earlier: NATReport) -> NATReport {
    var report = self
    if report.mapping == .unknown { report.mapping = earlier.mapping }
    guard report.isPredictableByObservation == earlier.isPredictableByObservation else {
      return self
    }
    if report.filtering == .unknown { report.filtering = earlier.filtering }
    report.hairpins = report.hairpins ?? earlier.hairpins
    return report
  }

  /// See RFC 4787 §4.1.
  public enum Mapping: UInt8, Sendable, CaseIterable {
    /// Not asked, or by one server only.
    case unknown = 0
    /// The socket has a public address.
    case none = 1
    /// One outside port for a socket, whomever it sends to.
    case endpointIndependent = 2
    /// Another outside port for each host.
    case addressDependent = 3
    /// Another outside port for each host and port: "symmetric".
    case addressAndPortDependent = 4
  }

  /// See RFC 4787 §5.
  public enum Filtering: UInt8, Sendable, CaseIterable {
    case unknown = 0
    /// Everybody.
    case endpointIndependent = 1
    /// Hosts that were sent to.
    case addressDependent = 2
    /// Hosts and ports that were sent to.
    case addressAndPortDependent = 3
  }

  /// How a port of the gateway was mapped.
  public enum PortMappingProtocol: UInt8, Sendable, CaseIterable {
    case pcp = 1
    case natPMP = 2
    case upnp = 3
  }

  /// Steps that count as a pattern; beyond, other hosts' traffic hides it.
  public static let deltaMax = 16

  /// Whether a peer can send to an address that a server saw.
  var isPredictableByObservation: Bool {
    switch mapping {
    case .unknown, .none, .endpointIndependent: true
    case .addressDependent, .addressAndPortDependent: false
    }
  }

  /// Whether ports come in a known order.
  var isRegular: Bool { !isPredictableByObservation && portDelta != nil && lastPort != nil }

  /// Whether, once it has sent to a host, every port of that host gets in.
  var admitsAnyPort: Bool {
    filtering == .endpointIndependent || filtering == .addressDependent
  }
}
