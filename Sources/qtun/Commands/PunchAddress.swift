internal import QuicTransport

/// Addresses as Go and so netpunch take them: `:7777`, `host:7777`, `192.0.2.1:7777`, `[::1]:7777`.
enum PunchAddress {
  /// The address to bind; no host means all of both families.
  static func local(_ text: String) throws(PunchError) -> SocketAddress {
    let (host, port) = try split(text, flag: "-local")
    if host.isEmpty { return .any.with(port: port) }
    return try resolve(host, port, flag: "-local")[0]
  }

  /// The control node's address, of the family that the socket can send to; IPv4 first, as in Go.
  static func remote(_ text: String, from local: SocketAddress) throws(PunchError) -> SocketAddress
  {
    let (host, port) = try split(text, flag: "-remote")
    guard !host.isEmpty, port != 0 else {
      throw PunchError("-remote: \"\(text)\" needs a host and a port, such as example.org:7777")
    }
    let all = try resolve(host, port, flag: "-remote")
    let fitting = all.filter { local == .any.with(port: local.port) || $0.isIPv4 == local.isIPv4 }
    guard let address = fitting.first else {
      throw PunchError(
        "-remote: \(host) has no \(local.isIPv4 ? "IPv4" : "IPv6") address, which -local is of")
    }
    return address
  }

  private static func split(
    _ text: String, flag: String
  ) throws(PunchError) -> (host: String, port: UInt16) {
    guard let colon = text.lastIndex(of: ":") else {
      throw PunchError("\(flag): \"\(text)\" has no port; write it like :7777 or host:7777")
    }
    var host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw PunchError("\(flag): put the IPv6 address of \"\(text)\" in brackets")
    }
    // Go takes names of services too; a number always works.
    guard digits.isEmpty || digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = digits.isEmpty ? 0 : UInt16(digits)
    else { throw PunchError("\(flag): the port of \"\(text)\" is no number from 0 to 65535") }
    return (String(host), port)
  }

  private static func resolve(
    _ host: String, _ port: UInt16, flag: String
  ) throws(PunchError) -> [SocketAddress] {
    let addresses: [SocketAddress]
    do throws(ResolveError) {
      addresses = try HostResolver.resolve(host, port: port, count: 8)
    } catch {
      throw PunchError("\(flag): cannot find the host \(error.host): \(error.reason)")
    }
    guard !addresses.isEmpty else { throw PunchError("\(flag): \(host) has no address") }
    return addresses.filter(\.isIPv4) + addresses.filter { !$0.isIPv4 }
  }
}
