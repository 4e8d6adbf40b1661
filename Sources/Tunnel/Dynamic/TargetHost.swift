internal import QuicTransport

/// The host of a `Destination`, taken apart strictly: an address in its one usual form, or a name
/// that no resolver takes for an address.
enum TargetHost: Equatable {
  /// Its port is the destination's.
  case address(SocketAddress)
  /// In lower case, without a final dot.
  case name(String)

  /// nil for everything else: `127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1`, `::1%lo`,
  /// percent-encoding, bytes outside of ASCII. getaddrinfo(3) reads some of them as addresses.
  init?(_ destination: Destination) {
    let text = destination.host
    // SocketAddress parses as inet_pton(3) does; zones name interfaces of this machine.
    if !text.contains("%"), let address = SocketAddress(text, port: destination.port) {
      self = .address(address)
      return
    }
    guard let name = Self.normalized(text) else { return nil }
    self = .name(name)
  }

  /// A name as rules compare it; nil where `text` is none (RFC 1123 §2.1, with underscores, which
  /// container networks use).
  static func normalized(_ text: some StringProtocol) -> String? {
    var bytes = Array(text.utf8)
    if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
    guard (1...253).contains(bytes.count) else { return nil }
    for (index, byte) in bytes.enumerated() where (0x41...0x5a).contains(byte) {
      bytes[index] = byte | 0x20
    }
    let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard labels.allSatisfy(isLabel), let last = labels.last, !isNumber(last) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
    (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
      && label.last != UInt8(ascii: "-")
      && label.allSatisfy { byte in
        switch byte {
        case 0x61...0x7a, 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
      }
  }

  /// Whether inet_aton(3) would take a host with this last label for an address: decimal, octal or
  /// hexadecimal. No top-level domain is such (RFC 3696 §2).
  private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
    if label.starts(with: "0x".utf8) {
      return label.dropFirst(2).allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
      }
    }
    return label.allSatisfy { (0x30...0x39).contains($0) }
  }
}
