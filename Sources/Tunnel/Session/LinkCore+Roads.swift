internal import QuicTransport

/// What a session on the connecting side may move to.
extension LinkCore {
  /// Opens what the session does not have: TCP beside UDP, UDP beside TCP, and a WebSocket where
  /// TCP does not come up.
  func sessionWantsAlternatives(_ session: SessionCore) {
    guard let paths = session.paths else { return }
    let kind = paths.activePath.kind
    let isFailing = !paths.activePath.isValidated || paths.isInDoubt
    if paths.outage != nil { meeting?.pathFails() }
    if kind == .udp || isFailing || (kind == .relay && directSearch.isDue(now: loop.now)) {
      for address in ticket.addresses { openCarrier(to: address, beside: paths) }
    }
    if kind != .udp { addAddresses(to: paths) }
  }

  func sessionIsSure(_ session: SessionCore) {
    dialer.keepOnly(session.currentRoad)
  }

  /// UDP from the addresses that this machine has now.
  func addAddresses(to paths: PathManager) {
    guard allows(.udp) else { return }
    for address in ticket.addresses {
      guard let local = endpoint.sourceAddress(towards: address) else { continue }
      paths.add(NetworkPath(local: local, remote: address), kind: .udp)
    }
  }

  /// A path as people know it.
  func describe(_ path: NetworkPath) -> SessionPath {
    SessionPath(
      carrier: CarrierKind(path),
      remote: dialer.remote(of: path) ?? registry.relay(of: path) ?? path.remote)
  }

  private func openCarrier(to address: SocketAddress, beside paths: PathManager) {
    guard allows(.tcp) else { return open(.webSocket, to: address, beside: paths) }
    open(.tcp, to: address, beside: paths) { [weak self, weak paths] in
      if let paths { self?.open(.webSocket, to: address, beside: paths) }
    }
  }

  /// - Parameter otherwise: called when this kind does not come up, or has not since the last time.
  private func open(
    _ kind: CarrierKind, to address: SocketAddress, beside paths: PathManager,
    otherwise: @escaping () -> Void = {}
  ) {
    guard allows(kind) else { return }
    // A connection that a box between has forgotten stays open for minutes and says nothing.
    let doubtful = paths.isInDoubt ? paths.activePath.path : nil
    dialer.open(address, kind: kind, besides: doubtful) { [weak paths] result in
      switch result {
      case .success(let carrier): paths?.add(carrier.path, kind: carrier.kind)
      case .failure(.superfluous):
        let isUp = paths?.paths.contains {
          $0.kind == kind && $0.isValidated && $0.path != doubtful
        }
        if isUp == false { otherwise() }
      case .failure(.proxy), .failure(.unavailable): otherwise()
      }
    }
  }
}
