import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Proxy door")
struct ProxyDoorTests {
  private let loop = SimLoop()

  private final class Wishes {
    var all: [FlowWish] = []
  }

  private func door(_ wishes: Wishes) -> ProxyDoor {
    ProxyDoor(
      service: "out", credentials: nil, loop: loop, associations: nil
    ) { socket, wish in
      wishes.all.append(wish)
      socket.close(resetting: false)
    }
  }

  private func program(_ door: ProxyDoor) -> LocalProgram {
    let (near, far) = SimStreamSocket.pair(
      loop: loop, capacity: 65_536, latency: .microseconds(50))
    door.accept(near, over: nil)
    return LocalProgram(far)
  }

  @Test("a whole SOCKS5 conversation ends in a wish")
  func socks5() {
    let wishes = Wishes()
    let door = door(wishes)
    let program = program(door)
    program.send([5, 1, 0])
    #expect(loop.run(for: .seconds(1)) { program.received == [5, 0] })
    program.send([5, 1, 0, 1, 192, 0, 2, 1, 0, 80])
    #expect(loop.run(for: .seconds(1)) { wishes.all.count == 1 })
    let header = FlowHeader(service: "out", destination: Destination(host: "192.0.2.1", port: 80))
    #expect(wishes.all[0].header == header.encoded && wishes.all[0].dialect == .socks5)
  }

  @Test("a program that is slow with its request is let go after ten seconds")
  func slow() {
    let wishes = Wishes()
    let door = door(wishes)
    let program = program(door)
    for byte in Array("CONNECT a:443 HTTP/1.1\r\n".utf8.prefix(11)) {
      #expect(!program.isOver)
      program.send([byte])
      loop.run(for: .milliseconds(900))
    }
    #expect(loop.run(for: .seconds(1)) { program.failure != nil })
    #expect(wishes.all.isEmpty)
  }

  @Test("a refused program can read why, though it sent more than was read")
  func refusal() {
    let wishes = Wishes()
    let door = door(wishes)
    let program = program(door)
    program.send(Array("GET / HTTP/1.1\r\n\r\n".utf8) + [UInt8](repeating: 1, count: 100_000))
    #expect(loop.run(for: .seconds(1)) { program.sawEnd })
    #expect(program.received.starts(with: Array("HTTP/1.1 400 ".utf8)))
    #expect(program.failure == nil)
    loop.run(for: .seconds(3))
    #expect(wishes.all.isEmpty)
  }

  @Test("a program that asks for UDP where there is none is told so")
  func noDatagrams() {
    let wishes = Wishes()
    let door = door(wishes)
    let program = program(door)
    program.send([5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(loop.run(for: .seconds(1)) { program.sawEnd })
    #expect(program.received == [5, 0] + ProxyDialect.socks5Reply(0x07))
    #expect(wishes.all.isEmpty)
    door.close()
  }

  @Test("programs that say nothing are bounded, and all are let go when the door closes")
  func crowd() {
    let wishes = Wishes()
    let door = door(wishes)
    let programs = (0..<600).map { _ in program(door) }
    loop.run(for: .milliseconds(10))
    #expect(programs.count(where: \.isOver) == 88)
    door.close()
    #expect(loop.run(for: .seconds(1)) { programs.allSatisfy(\.isOver) })
  }

  @Test("a program that leaves early is forgotten")
  func leaves() {
    let wishes = Wishes()
    let door = door(wishes)
    for _ in 0..<1_000 {
      let program = program(door)
      program.send([5], finishing: true)
      #expect(loop.run(for: .seconds(1)) { program.isOver })
    }
  }
}
