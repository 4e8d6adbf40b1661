import QuicTransport

/// Whom to dial, by the system's resolver.
enum HostLookup {
  /// The addresses of `host`, those of the wanted family first.
  ///
  /// Blocks; the program has nothing else to do before it knows whom to dial.
  static func addresses(
    of host: String, port: UInt16, prefersIPv6: Bool
  ) throws(InteropError) -> [SocketAddress] {
    let found: [SocketAddress]
    do throws(ResolveError) {
      found = try HostResolver.resolve(host, port: port, count: 8)
    } catch {
      throw .failed("cannot find \(error.host): \(error.reason)")
    }
    guard !found.isEmpty else { throw .failed("\(host) has no address") }
    return found.filter { $0.isIPv4 != prefersIPv6 } + found.filter { $0.isIPv4 == prefersIPv6 }
  }
}
