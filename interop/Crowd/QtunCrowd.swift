import Glibc
import QuicTransport
import Tunnel

// Many nodes of one relay in one process, for interop/run-relay-load.
//
//     qtun-crowd peers RELAY COUNT RATE      registers COUNT identities, RATE of them a second
//     qtun-crowd tries RELAY SECONDS RATE    RATE times a second, somebody new registers and connects
//     qtun-crowd guesses RELAY SECONDS COUNT COUNT nodes at a time show tokens that they made up, and
//                                            leave where the answer does not come at once
//     qtun-crowd waits RELAY SECONDS COUNT   the same, and each waits until it was its turn
//
// RELAY is what `qtun relay` prints, with a numeric address. Everything is said in lines of JSON.
// `peers` answers each line of its input with what has become of them, and ends with its input; `tries`
// says when it is ready, and begins with the first line.

@main
struct QtunCrowd {
  static func main() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    guard words.count == 4, let relay = RendezvousAddress(printed: words[1]),
      let first = Int(words[2]), let second = Int(words[3]), first > 0, second > 0
    else { usage() }
    raiseDescriptorLimit()
    let loop = try EpollLoop()
    try loop.start()
    switch words[0] {
    case "peers":
      let peers = Peers(relay: relay, loop: loop)
      async let registered: Void = peers.register(count: first, perSecond: second)
      while readLine() != nil { say(await peers.report) }
      try await registered
    case "tries":
      try await Tries(relay: relay, loop: loop).run(for: .seconds(first), perSecond: second)
    case "guesses", "waits":
      let guesses = Guesses(
        relay: relay, loop: loop, patience: words[0] == "waits" ? Guesses.patient : Guesses.hasty)
      say(try await guesses.run(for: .seconds(first), atOnce: second))
    default: usage()
    }
  }

  private static func usage() -> Never {
    print("usage: qtun-crowd peers|tries|guesses|waits RELAY NUMBER NUMBER")
    exit(2)
  }

  /// Each node has several sockets.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// Writes a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

extension RendezvousAddress {
  /// From `KEY@ADDRESS` or `KEY@ADDRESS:PORT`; IPv4 only.
  init?(printed text: String) {
    let halves = text.split(separator: "@", maxSplits: 1)
    guard halves.count == 2, let bytes = Base32.decode(halves[0]), let key = PublicKey(bytes)
    else { return nil }
    let parts = halves[1].split(separator: ":", maxSplits: 1)
    let port = parts.count == 2 ? UInt16(parts[1]) : Relay.defaultPort
    guard let port, let address = SocketAddress(String(parts[0]), port: port) else { return nil }
    self.init(key: key, addresses: [address])
  }
}

extension Duration {
  /// For JSON.
  var milliseconds: Double {
    Double(components.seconds) * 1_000 + Double(components.attoseconds) / 1e15
  }
}
