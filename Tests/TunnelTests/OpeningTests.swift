import QuicTransport
import Testing

@testable import Tunnel

@Suite("Opening")
struct OpeningTests {
  private let offered = [
    ControlMessage.Service(name: "web", port: 3_000),
    ControlMessage.Service(name: "db", port: 0),
  ]
  private let address = LocalAddress.tcp(.loopbackIPv4.with(port: 8_080))

  @Test("everything opens each service at 127.0.0.1 and its suggested port")
  func everything() throws {
    let plan = try Opening.everything.plan(offered: offered)
    #expect(plan.map(\.name) == ["web", "db"])
    #expect(plan.map(\.address.description) == ["127.0.0.1:3000", "127.0.0.1:0"])
  }

  @Test("a choice opens what it names and nothing else")
  func chosen() throws {
    let place = LocalAddress.unix(path: "/run/db.sock")
    let plan = try Opening.chosen([.init(name: "db", address: place)]).plan(offered: offered)
    #expect(plan == [OpenedService(name: "db", address: place)])
  }

  @Test("a UDP service is opened at a UDP address, whether or not the choice says so")
  func datagrams() throws {
    let offered = [ControlMessage.Service(name: "dns", port: 53, kind: .datagram)]
    let plan = try Opening.everything.plan(offered: offered)
    #expect(plan.map(\.address.description) == ["udp:127.0.0.1:53"])
    let place = SocketAddress.loopbackIPv4.with(port: 8_080)
    for address in [LocalAddress.tcp(place), .udp(place)] {
      let chosen = Opening.chosen([.init(name: "dns", address: address)])
      #expect(try chosen.plan(offered: offered).map(\.address) == [.udp(place)])
    }
  }

  @Test("what cannot be opened that way is an error, and a kind of a later version is left out")
  func wrongKinds() throws {
    let kinds: [(ControlMessage.Service.Kind, LocalAddress)] = [
      (.stream, .udp(.loopbackIPv4)), (.datagram, .unix(path: "a")), (.unknown(9), address),
    ]
    for (kind, place) in kinds {
      let offered = [ControlMessage.Service(name: "a", port: 1, kind: kind)]
      let chosen = Opening.chosen([.init(name: "a", address: place)])
      #expect(throws: TunnelError.self) { try chosen.plan(offered: offered) }
    }
    let later = [ControlMessage.Service(name: "a", port: 1, kind: .unknown(9))]
    #expect(try Opening.everything.plan(offered: later).isEmpty)
  }

  @Test("a choice without a name means the service without one, or the only one")
  func nameless() throws {
    let choice = Opening.chosen([.init(name: nil, address: address)])
    #expect(try choice.plan(offered: [offered[0]]).map(\.name) == ["web"])
    let plain = ControlMessage.Service(name: "", port: 1)
    #expect(try choice.plan(offered: offered + [plain]).map(\.name) == [""])
    #expect(unknown(choice) == "")
  }

  @Test("a service that is not there is an error that lists what is")
  func unknownService() throws {
    #expect(unknown(.chosen([.init(name: "wep", address: address)])) == "wep")
  }

  /// The name that the plan did not find, after checking the list beside it.
  private func unknown(_ opening: Opening) -> String? {
    do throws(TunnelError) {
      _ = try opening.plan(offered: offered)
      return nil
    } catch {
      guard case .unknownService(let name, ["web", "db"]) = error else { return nil }
      return name
    }
  }

  @Test(
    "a name needs no quoting anywhere",
    arguments: [
      ("web", true), ("a.b-c_9", true), ("9", true), ("", false), ("-a", false), (".a", false),
      ("a b", false), ("a=b", false), ("a/b", false), ("ä", false),
      (String(repeating: "n", count: 63), true), (String(repeating: "n", count: 64), false),
    ])
  func names(name: String, isGood: Bool) {
    #expect(Service.isName(name) == isGood)
  }
}
