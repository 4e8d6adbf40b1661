internal import CNgtcp2
internal import Glibc

/// The addresses that this machine has right now.
public enum NetworkInterfaces {
  /// Addresses of interfaces that are up, loopback included, in the kernel's order, port 0.
  public static func addresses() -> [SocketAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var addresses: [SocketAddress] = []
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
      addresses.append(SocketAddress(raw))
    }
    return addresses
  }
}
