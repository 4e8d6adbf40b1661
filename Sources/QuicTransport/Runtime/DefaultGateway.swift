internal import Glibc

/// The router that leads out of this machine's network.
public enum DefaultGateway {
  /// The next hop of the default route for IPv4, with port 0; nil where there is none.
  ///
  /// Reads a table that the kernel makes up, so nothing blocks.
  public static func ipv4() -> SocketAddress? { ipv4(routes: read("/proc/net/route")) }

  /// The same from the text of /proc/net/route (proc(5)): of several, the one with the least metric.
  static func ipv4(routes: [UInt8]) -> SocketAddress? {
    var best: (address: SocketAddress, metric: UInt32)?
    // Interface, destination, gateway, flags, references, use, metric, mask, ...
    for line in routes.split(separator: UInt8(ascii: "\n")).dropFirst() {
      let fields = line.split(whereSeparator: { $0 == 0x09 || $0 == 0x20 })
      guard fields.count >= 8, number(fields[1], 16) == 0, number(fields[7], 16) == 0,
        let gateway = number(fields[2], 16), gateway != 0,
        let flags = number(fields[3], 16), flags & up != 0, flags & viaGateway != 0,
        let metric = number(fields[6], 10), metric < best?.metric ?? .max
      else { continue }
      // The kernel prints the four bytes as one number of its own order.
      let address = SocketAddress(ipv4: UInt32(bigEndian: gateway), port: 0)
      best = (address, metric)
    }
    return best?.address
  }

  private static func number(_ digits: ArraySlice<UInt8>, _ radix: Int) -> UInt32? {
    UInt32(String(decoding: digits, as: UTF8.self), radix: radix)
  }

  private static func read(_ path: String) -> [UInt8] {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return [] }
    let descriptor = FileDescriptor(owning: raw)
    var bytes = [UInt8](repeating: 0, count: bytesMax)
    var count = 0
    while count < bytesMax {
      let got = bytes.withUnsafeMutableBytes { buffer in
        // SAFETY: `count` is below the size, so the pointer and the rest lie within the array.
        Glibc.read(descriptor.raw, buffer.baseAddress.unsafelyUnwrapped + count, bytesMax - count)
      }
      if got <= 0 { break }
      count += got
    }
    return Array(bytes.prefix(count))
  }

  /// RTF_UP and RTF_GATEWAY of route(8).
  private static let up: UInt32 = 1
  private static let viaGateway: UInt32 = 2
  /// Some 500 routes; default routes stand in front.
  private static let bytesMax = 65_536
}
