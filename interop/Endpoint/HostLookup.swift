import Glibc
import QuicTransport

/// The system's resolver.
enum HostLookup {
  /// The addresses of `host`, those of the wanted family first.
  ///
  /// Blocks; the program has nothing else to do before it knows whom to dial.
  static func addresses(
    of host: String, port: UInt16, prefersIPv6: Bool
  ) throws(InteropError) -> [SocketAddress] {
    if let literal = SocketAddress(host, port: port) { return [literal] }
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, nil, &hints, &list)
    guard result == 0 else {
      throw .failed("cannot find \(host): \(String(cString: gai_strerror(result)))")
    }
    defer { freeaddrinfo(list) }
    var found: [SocketAddress] = []
    var entry = list
    while let current = entry?.pointee {
      if let address = numeric(current, port: port), !found.contains(address) {
        found.append(address)
      }
      entry = current.ai_next
    }
    guard !found.isEmpty else { throw .failed("\(host) has no address") }
    return found.filter { $0.isIPv4 != prefersIPv6 } + found.filter { $0.isIPv4 == prefersIPv6 }
  }

  private static func numeric(_ entry: addrinfo, port: UInt16) -> SocketAddress? {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = getnameinfo(
      entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    guard result == 0 else { return nil }
    let end = text.firstIndex(of: 0) ?? text.endIndex
    let host = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return SocketAddress(host, port: port)
  }
}
