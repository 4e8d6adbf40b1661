public import QuicTransport

/// The candidates that a node has without asking anybody: the addresses of its own interfaces.
public enum HostCandidates {
  /// Turns interface addresses into candidates, best first, `count` at most.
  ///
  /// Link-local addresses are left out: they mean nothing without the other side's interface
  /// (RFC 4007 §6). A socket bound to one address offers only that one.
  ///
  /// - Parameters:
  ///   - addresses: of the interfaces that are up, in the system's order, which breaks ties.
  ///   - socket: the bound address of the socket that shall be reached.
  ///   - hasIPv6: false when the socket takes IPv4 only.
  public static func gather(
    addresses: [SocketAddress], socket: SocketAddress, hasIPv6: Bool, count: Int
  ) -> [Candidate] {
    guard socket.isUnspecified else {
      return [Candidate(address: socket, kind: kind(of: socket))]
    }
    var candidates: [Candidate] = []
    for address in addresses where !address.isLinkLocal && (hasIPv6 || address.isIPv4) {
      let candidate = Candidate(address: address.with(port: socket.port), kind: kind(of: address))
      if !candidates.contains(candidate) { candidates.append(candidate) }
    }
    let ranked = candidates.enumerated().sorted { left, right in
      (left.element.kind, left.offset) < (right.element.kind, right.offset)
    }
    return ranked.prefix(count).map(\.element)
  }

  private static func kind(of address: SocketAddress) -> Candidate.Kind {
    if address.isLoopback { return .loopback }
    return address.isPrivate ? .local : .global
  }
}
