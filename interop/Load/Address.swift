import Glibc

/// A numeric `ADDR:PORT` or `[ADDR]:PORT`; names are not looked up, so no resolver is measured.
struct Address: Sendable, CustomStringConvertible {
  private let storage: sockaddr_storage
  private let length: socklen_t

  /// Returns nil for anything but a numeric IPv4 or bracketed IPv6 address with a port.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    var storage = sockaddr_storage()
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    // SAFETY: sockaddr_storage is at least as large and as aligned as both address types.
    let isParsed = withUnsafeMutablePointer(to: &storage) { pointer in
      let raw = UnsafeMutableRawPointer(pointer)
      if isBracketed {
        let address = raw.assumingMemoryBound(to: sockaddr_in6.self)
        address.pointee.sin6_family = sa_family_t(AF_INET6)
        address.pointee.sin6_port = port.bigEndian
        return inet_pton(AF_INET6, String(host), &address.pointee.sin6_addr) == 1
      }
      let address = raw.assumingMemoryBound(to: sockaddr_in.self)
      address.pointee.sin_family = sa_family_t(AF_INET)
      address.pointee.sin_port = port.bigEndian
      return inet_pton(AF_INET, String(host), &address.pointee.sin_addr) == 1
    }
    guard isParsed else { return nil }
    self.storage = storage
    length = socklen_t(
      isBracketed ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
  }

  /// Takes an address that the kernel filled in through `getsockname` or `getpeername`.
  init(storage: sockaddr_storage, length: socklen_t) {
    self.storage = storage
    self.length = length
  }

  /// `AF_INET` or `AF_INET6`.
  var family: Int32 { Int32(storage.ss_family) }

  /// The port in host byte order; both families keep it behind the two bytes of the family.
  var port: UInt16 {
    withUnsafeBytes(of: storage) {
      UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }
  }

  var description: String {
    let isSix = family == AF_INET6
    let text = withUnsafeBytes(of: storage) { bytes in
      var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
      inet_ntop(family, bytes.baseAddress! + (isSix ? 8 : 4), &text, socklen_t(text.count))
      return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    return isSix ? "[\(text)]:\(port)" : "\(text):\(port)"
  }

  /// Lends the address in the form that socket calls take.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    // SAFETY: the pointer lives for the call only and `length` never exceeds the storage.
    withUnsafeBytes(of: storage) {
      body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
    }
  }
}
