public import QuicTransport

/// A rendezvous: which key it has and where it is.
public struct RendezvousAddress: Hashable, Sendable {
  /// The identity that it must prove: who answers at an address decides which addresses our peers
  /// are told.
  public var key: PublicKey
  /// Where it is, best first; `addressesMax` at most.
  public var addresses: [SocketAddress]

  /// A rendezvous; addresses beyond `addressesMax` are left out.
  public init(key: PublicKey, addresses: [SocketAddress]) {
    self.key = key
    self.addresses = Array(addresses.prefix(Self.addressesMax))
  }

  /// The first ones and those of the others that are new, `countMax` in all.
  static func merged(
    _ first: [RendezvousAddress], _ others: [RendezvousAddress]
  ) -> [RendezvousAddress] {
    var all: [RendezvousAddress] = []
    for one in first + others where !all.contains(one) { all.append(one) }
    return Array(all.prefix(countMax))
  }

  /// One or two of each family.
  public static let addressesMax = 4
  /// In a ticket, and of one node: a second one helps when the first is down, others when both are;
  /// each makes tickets longer.
  public static let countMax = 4
}

extension WireWriter {
  /// Count (1 byte); each: key (32), count of addresses (1 byte), addresses.
  mutating func rendezvous(_ all: [RendezvousAddress]) {
    byte(UInt8(all.count))
    for one in all {
      raw(one.key.bytes)
      byte(UInt8(one.addresses.count))
      for address in one.addresses { self.address(address) }
    }
  }
}

extension WireReader {
  mutating func rendezvous() -> [RendezvousAddress]? {
    guard let count = byte(), count <= RendezvousAddress.countMax else { return nil }
    var all: [RendezvousAddress] = []
    for _ in 0..<count {
      guard let key = key(), let count = byte(), count <= RendezvousAddress.addressesMax else {
        return nil
      }
      var addresses: [SocketAddress] = []
      for _ in 0..<count {
        guard let address = address() else { return nil }
        addresses.append(address)
      }
      all.append(RendezvousAddress(key: key, addresses: addresses))
    }
    return all
  }
}
