internal import CNgtcp2
internal import Glibc

/// Names to addresses, by the system's resolver.
public enum HostResolver {
  /// The addresses of `host`, in the order that RFC 6724 prefers, `count` at most. Blocks: call it
  /// before the loop runs, or on another thread.
  ///
  /// - Parameter host: a name, or a numeric address.
  /// - Throws: `ResolveError` with the resolver's own words.
  public static func resolve(_ host: String, port: UInt16, count: Int)
    throws(ResolveError) -> [SocketAddress]
  {
    if let address = SocketAddress(host, port: port) { return [address] }
    // RFC 6761 §6.3: always the loopback addresses, also where no hosts file says so.
    if host == "localhost" {
      return [
        SocketAddress.loopbackIPv4.with(port: port), SocketAddress(high: 0, low: 1, port: port),
      ]
    }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, nil, &hints, &list)
    guard result == 0 else {
      throw ResolveError(host: host, reason: String(cString: gai_strerror(result)))
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next, addresses.count < count {
      next = entry.pointee.ai_next
      guard let storage = entry.pointee.ai_addr else { continue }
      var raw = qtun_address()
      // SAFETY: getaddrinfo sizes the storage by its family; the copy ends before freeaddrinfo.
      qtun_address_load(storage, &raw)
      let address = SocketAddress(raw).with(port: port)
      if !addresses.contains(address) { addresses.append(address) }
    }
    return addresses
  }
}

/// A name that has no address.
public struct ResolveError: Error, Equatable, Sendable {
  /// The name that was looked up.
  public let host: String
  /// The resolver's own words.
  public let reason: String
}
