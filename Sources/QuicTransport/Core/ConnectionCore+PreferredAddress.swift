internal import CNgtcp2

/// A client whose server would rather be talked to elsewhere (RFC 9000 §9.6).
///
/// ngtcp2 asks once, when the handshake is confirmed. It then asks the new path with a connection ID of
/// its own, sends on the old one until the answer is there, and stays there if none comes.
extension ConnectionCore {
  /// In a C callback: writes the path to try into `destination`, or leaves it as it is to stay.
  func choosePreferred(
    of offered: ngtcp2_preferred_addr, into destination: UnsafeMutablePointer<ngtcp2_path>
  ) {
    let current = currentPath
    guard settings.followsPreferredAddress, router == nil,
      let remote = PreferredAddress(offered)?.choice(insteadOf: current.remote),
      // The socket may be bound to one family, or the machine have no road there.
      let local = host?.sourceAddress(towards: remote, instead: current.local),
      local.isIPv4 == remote.isIPv4
    else { return }
    let path = PathStorage(NetworkPath(local: local, remote: remote))
    withExtendedLifetime(path) {
      let ends = path.pointer.pointee
      // SAFETY: ngtcp2 lends memory for any address at both ends, and copies from ours.
      ngtcp2_addr_copy_byte(&destination.pointee.local, ends.local.addr, ends.local.addrlen)
      ngtcp2_addr_copy_byte(&destination.pointee.remote, ends.remote.addr, ends.remote.addrlen)
    }
  }
}

extension PreferredAddress {
  /// What a server said in its transport parameters.
  fileprivate init?(_ offered: ngtcp2_preferred_addr) {
    var addresses: [SocketAddress] = []
    if offered.ipv4_present != 0 {
      addresses.append(withUnsafeBytes(of: offered.ipv4, Self.load))
    }
    if offered.ipv6_present != 0 {
      addresses.append(withUnsafeBytes(of: offered.ipv6, Self.load))
    }
    self.init(of: addresses)
  }

  private static func load(_ storage: UnsafeRawBufferPointer) -> SocketAddress {
    var raw = qtun_address()
    qtun_address_load(storage.baseAddress, &raw)
    return SocketAddress(raw)
  }
}
