internal import QuicTransport

/// Which ports a NAT will use, or may use.
enum PortGuess {
  /// NATs give out these; the first 1024 are left to services.
  static let ports = 1_024...65_535

  /// The port `steps` steps after `port`, wrapped as NATs wrap.
  static func port(after port: UInt16, delta: Int, steps: Int) -> UInt16 {
    let offset = (Int(port) - ports.lowerBound + delta * steps) % ports.count
    return UInt16(ports.lowerBound + (offset + ports.count) % ports.count)
  }

  /// How many steps ahead to aim with each of our own first packets, when both NATs are regular.
  ///
  /// Each packet to a new port takes the next port of our own NAT. Number the ports from the last
  /// one that a server saw. Our i-th packet leaves from i+s, where s counts what others behind our
  /// NAT took meanwhile; the peer's j-th from j+u. Two packets meet if ours aims at j+u and the
  /// peer's aims at i+s. The first side aims at i, so i=j+u; then the second must aim at j+u+s: it
  /// lets its lead go round from 0 to `leadMax`-1, so that each small u+s occurs several times. As
  /// `leadMax` is odd, no port is aimed at twice: two packets to one port are one flow, and the
  /// second takes no port of ours, so that the count would be wrong from there on.
  static func steps(isFirst: Bool) -> [Int] {
    (1...packetsMax).map { isFirst ? $0 : $0 + $0 % leadMax }
  }

  /// Three meetings for each lead, for the sake of lossy links.
  static let packetsMax = 64
  /// Ports that others may have taken since the servers were asked.
  static let leadMax = 17
  /// The easy side's guesses at the next ports of a regular NAT.
  static let aheadMax = 20
}

/// The ports of one host, each once, in an order that visits all regions early.
struct PortSearch {
  /// Whose ports.
  let host: SocketAddress
  private var position: Int
  private let stride: Int

  init(host: SocketAddress, using random: inout some RandomNumberGenerator) {
    self.host = host
    position = Int.random(in: 0..<PortGuess.ports.count, using: &random)
    // A stride without common factor visits every port before it comes back.
    var stride = Int.random(in: 1..<PortGuess.ports.count, using: &random)
    while Self.divisor(stride, PortGuess.ports.count) != 1 {
      stride = stride % (PortGuess.ports.count - 1) + 1
    }
    self.stride = stride
  }

  mutating func next() -> SocketAddress {
    position = (position + stride) % PortGuess.ports.count
    return host.with(port: UInt16(PortGuess.ports.lowerBound + position))
  }

  private static func divisor(_ one: Int, _ other: Int) -> Int {
    other == 0 ? one : divisor(other, one % other)
  }
}
