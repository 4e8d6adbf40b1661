/// The sockets of an endpoint, found by the local address of a path.
///
/// A relay has one for each node that came over TCP, and looks for one for every packet.
struct SocketTable {
  /// In the order in which they came.
  private(set) var all: [any DatagramSocket] = []
  private var byAddress: [SocketAddress: any DatagramSocket] = [:]
  /// UDP sockets that are bound to every address: paths name the one that a packet came to.
  private var byPort: [UInt16: any DatagramSocket] = [:]

  /// - Parameter socket: its address stays; of two with one address, the first is found.
  mutating func add(_ socket: any DatagramSocket) {
    all.append(socket)
    index(socket)
  }

  mutating func remove(_ socket: any DatagramSocket) {
    let address = socket.localAddress
    all.removeAll { $0 === socket }
    if byAddress[address] === socket { byAddress[address] = nil }
    if byPort[address.port] === socket { byPort[address.port] = nil }
    // Another one may have stood behind it.
    for other in all {
      let local = other.localAddress
      if local == address || local.port == address.port && local.isUnspecified { index(other) }
    }
  }

  mutating func removeAll() {
    self = SocketTable()
  }

  func has(_ socket: any DatagramSocket) -> Bool {
    // All but a second socket of one address are in the table.
    byAddress[socket.localAddress] === socket || all.contains { $0 === socket }
  }

  /// The socket that packets with this source address leave by.
  func socket(for local: SocketAddress) -> (any DatagramSocket)? {
    if all.count == 1 { return all[0] }
    return byAddress[local] ?? byPort[local.port]
  }

  private mutating func index(_ socket: any DatagramSocket) {
    let address = socket.localAddress
    if byAddress[address] == nil { byAddress[address] = socket }
    if address.isUnspecified, byPort[address.port] == nil { byPort[address.port] = socket }
  }
}
