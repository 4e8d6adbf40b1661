/// A router in front of end A that forgets its bindings when told to (RFC 4787 §4.3), for UDP over IPv4.
///
/// Until the first `rebind`, and for everything else, packets pass as they are. From then on a flow
/// from A gets another port, and with `address` also another source address; what comes from B to a
/// binding that is gone is dropped.
struct Translator {
  /// What stands in place of the address of A, by how often it changed; nil leaves it.
  private var addressOffset: UInt8 = 0
  private var isActive = false
  private var outside: [Inside: UInt16] = [:]
  private var inside: [UInt16: Inside] = [:]
  private var dice: Dice

  private struct Inside: Hashable {
    let lastAddressByte: UInt8
    let port: UInt16
  }

  init(seed: UInt64) { dice = Dice(seed: seed) }

  /// Forgets all bindings; new ones have another port, or another address too.
  mutating func rebind(_ what: Substring) throws(LinkError) {
    guard what == "port" || what == "address" else { throw .usage("rebind: port or address") }
    // The last byte of the address: 1 becomes 3, 4 and so on, never 2, which is B.
    if what == "address" { addressOffset = addressOffset == 0 ? 2 : addressOffset % 200 + 1 }
    isActive = true
    outside = [:]
    inside = [:]
  }

  /// A packet from A gets its source from a binding; false drops it.
  mutating func outbound(_ packet: inout Packet) -> Bool {
    guard isActive, packet.bytes[0] >> 4 == 4, packet.kind == .udp else { return true }
    let source = Inside(
      lastAddressByte: packet.bytes[15], port: packet.word16(at: packet.transportStart))
    guard let port = outside[source] ?? bind(source) else { return false }
    rewrite(&packet, addressAt: 12, portAt: 0, source.lastAddressByte &+ addressOffset, port)
    return true
  }

  /// A packet to A gets its destination from a binding; false drops it.
  mutating func inbound(_ packet: inout Packet) -> Bool {
    guard isActive, packet.bytes[0] >> 4 == 4, packet.kind == .udp else { return true }
    let port = packet.word16(at: packet.transportStart + 2)
    guard let target = inside[port], packet.bytes[19] == target.lastAddressByte &+ addressOffset
    else { return false }
    rewrite(&packet, addressAt: 16, portAt: 2, target.lastAddressByte, target.port)
    return true
  }

  private mutating func bind(_ source: Inside) -> UInt16? {
    guard inside.count < Self.bindingsMax else { return nil }
    var port = source.port
    while port == source.port || inside[port] != nil {
      port = UInt16(1024 + dice.next() % 64_000)
    }
    outside[source] = port
    inside[port] = source
    return port
  }

  private func rewrite(
    _ packet: inout Packet, addressAt address: Int, portAt port: Int, _ lastByte: UInt8,
    _ number: UInt16
  ) {
    let checksum = packet.transportStart + 6
    let before = packet.word16(at: address + 2)
    let after = before & 0xff00 | UInt16(lastByte)
    packet.setWord16(after, at: address + 2)
    // RFC 768: a checksum of 0 is none.
    let hasChecksum = packet.word16(at: checksum) != 0
    packet.amendChecksum(at: 10, from: before, to: after)
    if hasChecksum { packet.amendChecksum(at: checksum, from: before, to: after) }
    let position = packet.transportStart + port
    if hasChecksum {
      packet.amendChecksum(at: checksum, from: packet.word16(at: position), to: number)
    }
    packet.setWord16(number, at: position)
  }

  /// Far more flows than a laboratory has, and far fewer than ports.
  private static let bindingsMax = 4_096
}
