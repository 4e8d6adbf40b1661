// Shares a TCP service and connects to it, in one process: what `qtun share` and `qtun connect` do in
// two. Built and run by `interop/run-cli-tests`.
//
//     qtun-example PORT    offers 127.0.0.1:PORT and prints the address where it comes out
import QuicTransport
import Tunnel

@main
struct Example {
  static func main() async throws {
    guard let port = CommandLine.arguments.dropFirst().first.flatMap(UInt16.init) else {
      print("usage: qtun-example PORT")
      return
    }
    // Everything happens on one loop, which has a thread of its own here.
    let loop = try EpollLoop()
    try loop.start()

    let web = Service(name: "web", target: .tcp([SocketAddress.loopbackIPv4.with(port: port)]))
    let share = try await Share.open(
      .standard(identity: .generate(), services: [web]), loop: loop)

    // The ticket is all that the other side needs; it could have come over the telephone.
    let ticket = try Ticket(share.ticket.text)
    var configuration = Link.Configuration.standard(identity: .generate(), ticket: ticket)
    configuration.opening = .chosen([.anyPort("web")])
    let link = try await Link.open(configuration, loop: loop) { event in
      if case .sessionOpened(_, let path, _) = event { print("connected over \(path.carrier)") }
    }
    for service in await link.services { print("\(service.name) is at \(service.address)") }

    // Until the reader of standard input has seen enough.
    _ = readLine()
    await link.drain(within: .seconds(5))
    let totals = await link.statistics
    print("\(totals.flows) connections, \(totals.bytesReceived) bytes came back")
    await link.close()
    await share.close()
  }
}
