internal import CNgtcp2

/// Memory for one `ngtcp2_path` and its two addresses, filled from a `NetworkPath`.
///
/// Every address is stored in its own family and zeroed where unused: ngtcp2 compares and
/// authenticates paths, and knows a server's preferred address by its family.
final class PathStorage {
  let pointer: UnsafeMutablePointer<ngtcp2_path>
  private let addresses: UnsafeMutableRawPointer
  private(set) var path: NetworkPath

  init(_ path: NetworkPath) {
    self.path = path
    addresses = .allocate(byteCount: 2 * Self.stride, alignment: 8)
    pointer = .allocate(capacity: 1)
    pointer.initialize(
      to: ngtcp2_path(
        local: Self.address(at: addresses), remote: Self.address(at: addresses + Self.stride),
        user_data: nil))
    store()
  }

  deinit {
    pointer.deallocate()
    addresses.deallocate()
  }

  /// The same memory for another path; costs nothing if it is the one already there.
  func set(_ path: NetworkPath) {
    guard path != self.path else { return }
    self.path = path
    store()
  }

  /// The path that ngtcp2 wrote into a storage of its own.
  static func load(_ path: ngtcp2_path) -> NetworkPath {
    NetworkPath(local: load(path.local), remote: load(path.remote))
  }

  static func load(_ address: ngtcp2_addr) -> SocketAddress {
    guard let storage = address.addr, address.addrlen > 0 else { return .any }
    var raw = qtun_address()
    qtun_address_load(storage, &raw)
    return SocketAddress(raw)
  }

  private func store() {
    var local = path.local.raw
    var remote = path.remote.raw
    pointer.pointee.local.addrlen = qtun_address_store_family(&local, addresses)
    pointer.pointee.remote.addrlen = qtun_address_store_family(&remote, addresses + Self.stride)
  }

  private static func address(at memory: UnsafeMutableRawPointer) -> ngtcp2_addr {
    ngtcp2_addr(
      addr: memory.assumingMemoryBound(to: ngtcp2_sockaddr.self),
      addrlen: ngtcp2_socklen(MemoryLayout<sockaddr_in6>.size))
  }

  private static let stride = 32
}
