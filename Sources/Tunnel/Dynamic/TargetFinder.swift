internal import QuicTransport

/// What the sharing side must know about the network around it to judge a destination; injected, so
/// that simulations need no resolver.
struct TargetFinder {
  /// Looks a name up and calls back once, on the loop: at once or later.
  let lookUp: (String, @escaping (Result<[SocketAddress], ResolveError>) -> Void) -> Void
  /// The addresses of this machine now.
  let ownAddresses: () -> [SocketAddress]

  /// The addresses that may be connected to for a destination, in order, after one look-up at most.
  ///
  /// - Parameter completion: called once, at once or later.
  func find(
    _ destination: Destination, rules: TargetRules,
    completion: @escaping (Result<[SocketAddress], Refusal>) -> Void
  ) {
    switch TargetHost(destination) {
    case nil: completion(.failure(.notAllowed))
    case .address(let address):
      completion(judge([address], name: nil, rules: rules))
    case .name(let name):
      guard rules.mayPermit(name, port: destination.port) else {
        return completion(.failure(.notAllowed))
      }
      lookUp(name) { result in
        guard case .success(let found) = result, !found.isEmpty else {
          return completion(.failure(.notFound))
        }
        let addresses = found.map { $0.with(port: destination.port) }
        completion(judge(addresses, name: name, rules: rules))
      }
    }
  }

  private func judge(
    _ addresses: [SocketAddress], name: String?, rules: TargetRules
  ) -> Result<[SocketAddress], Refusal> {
    let own = Set(ownAddresses().map { IPNetwork($0, prefixLength: 128) })
    let allowed = addresses.filter { address in
      // An address with a zone comes from a resolver only, and names an interface of ours.
      let isOwn = own.contains(IPNetwork(address, prefixLength: 128))
      return address.scope == 0 && rules.permits(address, name: name, isOwn: isOwn)
    }
    return allowed.isEmpty ? .failure(.notAllowed) : .success(allowed)
  }

  /// Why a destination is not reached.
  enum Refusal: Error, Equatable {
    case notAllowed
    case notFound
  }
}
