internal import CNgtcp2
internal import Glibc

/// The addresses that this machine has right now.
public enum NetworkInterfaces {
  /// Addresses of interfaces that are up, loopback included, in the kernel's order, port 0.
  public static func addresses() -> [SocketAddress] { networks().map(\.address) }

  /// The same with the lengths of their networks' prefixes: 24 for 192.0.2.0/24.
  public static func networks() -> [(address: SocketAddress, prefixLength: Int)] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var networks: [(address: SocketAddress, prefixLength: Int)] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      let isUp = entry.pointee.ifa_flags & UInt32(IFF_UP) != 0
      guard isUp, let address = entry.pointee.ifa_addr else { continue }
      let family = Int32(address.pointee.sa_family)
      guard family == AF_INET || family == AF_INET6 else { continue }
      var raw = qtun_address()
      // SAFETY: getifaddrs sizes the storage by its family; the copy ends before freeifaddrs.
      qtun_address_load(address, &raw)
      raw.port = 0
      var mask = qtun_address()
      if let netmask = entry.pointee.ifa_netmask { qtun_address_load(netmask, &mask) }
      let bits =
        family == AF_INET
        ? UInt32(truncatingIfNeeded: mask.low).nonzeroBitCount
        : mask.high.nonzeroBitCount + mask.low.nonzeroBitCount
      networks.append((SocketAddress(raw), bits))
    }
    return networks
  }
}
