import QuicTransport
import Testing

@testable import Tunnel

@Suite("Opening")
struct OpeningTests {
  private let offered = [
    ControlMessage.Service(name: "web", port: 3_000),
    ControlMessage.Service(name: "db", port: 0),
  ]
  private let dynamic = ControlMessage.Service(name: "out", port: 1_080, kind: .dynamic)
  private let address = LocalAddress.tcp(.loopbackIPv4.with(port: 8_080))

  @Test("everything opens each service at 127.0.0.1 and its suggested port")
  func everything() throws {
    let plan = try Opening.everything.plan(offered: offered)
    #expect(plan.map(\.service.name) == ["web", "db"])
    #expect(plan.map(\.service.address.description) == ["127.0.0.1:3000", "127.0.0.1:0"])
    #expect(plan.allSatisfy { !$0.service.isProxy && $0.destination == nil })
  }

  @Test("a dynamic service is opened as a proxy, with everything and by its name")
  func proxy() throws {
    let plan = try Opening.everything.plan(offered: offered + [dynamic])
    #expect(plan.map(\.service.isProxy) == [false, false, true])
    let choice = Opening.chosen([.init(name: "out", address: address, use: .service)])
    #expect(try choice.plan(offered: offered + [dynamic]).map(\.service.isProxy) == [true])
  }

  @Test("a proxy or a destination without a service's name means the only dynamic service")
  func dynamicUses() throws {
    let wanted = Destination(host: "example.com", port: 443)
    let choices = Opening.chosen([
      .init(name: nil, address: address, use: .proxy),
      .init(name: nil, address: address, use: .forward(to: wanted)),
      .init(name: "out", address: address, use: .forward(to: wanted)),
    ])
    let plan = try choices.plan(offered: offered + [dynamic])
    #expect(plan.map(\.service.name) == ["out", "out", "out"])
    #expect(plan.map(\.service.isProxy) == [true, false, false])
    #expect(plan.map(\.destination) == [nil, wanted, wanted])
  }

  @Test("a destination through a service that takes none is an error that says so")
  func notDynamic() throws {
    let wanted = Opening.Use.forward(to: Destination(host: "example.com", port: 443))
    let named = Opening.chosen([.init(name: "web", address: address, use: wanted)])
    #expect(problem(named) == "not dynamic: web")
    let unnamed = Opening.chosen([.init(name: nil, address: address, use: wanted)])
    #expect(problem(unnamed) == "none is dynamic")
    #expect(
      problem(.chosen([.init(name: nil, address: address, use: .proxy)])) == "none is dynamic")
  }

  private func problem(_ opening: Opening) -> String? {
    do throws(TunnelError) {
      _ = try opening.plan(offered: offered)
      return nil
    } catch {
      switch error {
      case .notDynamic(let name): return "not dynamic: \(name)"
      case .noDynamicService: return "none is dynamic"
      default: return "\(error)"
      }
    }
  }

  @Test("a choice opens what it names and nothing else")
  func chosen() throws {
    let place = LocalAddress.unix(path: "/run/db.sock")
    let choice = Opening.chosen([.init(name: "db", address: place, use: .service)])
    let service = OpenedService(name: "db", address: place, isProxy: false)
    #expect(
      try choice.plan(offered: offered) == [PlannedOpening(service: service, destination: nil)])
  }

  @Test("a UDP service is opened at a UDP address, whether or not the choice says so")
  func datagrams() throws {
    let offered = [ControlMessage.Service(name: "dns", port: 53, kind: .datagram)]
    let plan = try Opening.everything.plan(offered: offered)
    #expect(plan.map(\.service.address.description) == ["udp:127.0.0.1:53"])
    let place = SocketAddress.loopbackIPv4.with(port: 8_080)
    for address in [LocalAddress.tcp(place), .udp(place)] {
      let chosen = Opening.chosen([.init(name: "dns", address: address, use: .service)])
      #expect(try chosen.plan(offered: offered).map(\.service.address) == [.udp(place)])
    }
  }

  @Test("what cannot be opened that way is an error, and a kind of a later version is left out")
  func wrongKinds() throws {
    let kinds: [(ControlMessage.Service.Kind, LocalAddress)] = [
      (.stream, .udp(.loopbackIPv4)), (.datagram, .unix(path: "a")), (.unknown(9), address),
    ]
    for (kind, place) in kinds {
      let offered = [ControlMessage.Service(name: "a", port: 1, kind: kind)]
      let chosen = Opening.chosen([.init(name: "a", address: place, use: .service)])
      #expect(throws: TunnelError.self) { try chosen.plan(offered: offered) }
    }
    let later = [ControlMessage.Service(name: "a", port: 1, kind: .unknown(9))]
    #expect(try Opening.everything.plan(offered: later).isEmpty)
  }

  @Test("a choice without a name means the service without one, or the only one")
  func nameless() throws {
    let choice = Opening.chosen([.init(name: nil, address: address, use: .service)])
    #expect(try choice.plan(offered: [offered[0]]).map(\.service.name) == ["web"])
    let plain = ControlMessage.Service(name: "", port: 1)
    #expect(try choice.plan(offered: offered + [plain]).map(\.service.name) == [""])
    #expect(unknown(choice) == "")
  }

  @Test("a service that is not there is an error that lists what is")
  func unknownService() throws {
    #expect(unknown(.chosen([.init(name: "wep", address: address, use: .service)])) == "wep")
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
