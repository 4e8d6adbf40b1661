import Testing

@testable import QuicTransport

@Suite("Sockets of an endpoint")
struct SocketTableTests {
  private static func address(_ host: UInt32, _ port: UInt16) -> SocketAddress {
    SocketAddress(ipv4: host, port: port)
  }

  @Test("a lonely socket takes every path")
  func lonely() {
    var table = SocketTable()
    #expect(table.socket(for: Self.address(1, 1)) == nil)
    let socket = Stub(Self.address(1, 1))
    table.add(socket)
    #expect(table.socket(for: Self.address(7, 9)) === socket)
  }

  @Test("of several, the one with the address is found, then the one of all addresses by its port")
  func several() throws {
    var table = SocketTable()
    let everywhere = Stub(try #require(SocketAddress("::", port: 5)))
    let carriers = (1...100).map { Stub(Self.address($0, 1)) }
    table.add(everywhere)
    for carrier in carriers { table.add(carrier) }
    #expect(table.all.count == 101 && table.all.first === everywhere)
    for (index, carrier) in carriers.enumerated() {
      #expect(table.socket(for: Self.address(UInt32(index + 1), 1)) === carrier)
      #expect(table.has(carrier))
    }
    #expect(table.socket(for: Self.address(9, 5)) === everywhere)
    #expect(table.socket(for: Self.address(9, 6)) == nil)
    table.remove(carriers[4])
    #expect(table.socket(for: Self.address(5, 1)) == nil && !table.has(carriers[4]))
    #expect(table.socket(for: Self.address(6, 1)) === carriers[5])
    table.remove(everywhere)
    #expect(table.socket(for: Self.address(9, 5)) == nil)
  }

  @Test("of two with one address the first is found, and the second when it is gone")
  func twins() {
    var table = SocketTable()
    let twins = [Stub(Self.address(1, 1)), Stub(Self.address(1, 1))]
    let other = Stub(Self.address(2, 1))
    for socket in twins + [other] { table.add(socket) }
    #expect(table.socket(for: Self.address(1, 1)) === twins[0])
    #expect(table.has(twins[1]))
    table.remove(twins[0])
    #expect(table.socket(for: Self.address(1, 1)) === twins[1])
    table.removeAll()
    #expect(table.all.isEmpty && !table.has(other))
  }
}

/// A socket that has an address and nothing else.
private final class Stub: DatagramSocket {
  let localAddress: SocketAddress
  weak var receiver: (any DatagramReceiver)?
  let isBlocked = false
  let provesSource = false

  init(_ localAddress: SocketAddress) { self.localAddress = localAddress }

  func send(_ batch: DatagramBatch) -> SendResult { .sent }
  func sourceAddress(towards remote: SocketAddress) -> SocketAddress { localAddress }
  func close() {}
}
