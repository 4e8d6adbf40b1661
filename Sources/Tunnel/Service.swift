public import QuicTransport

/// Something that a share offers. Only what is named here can be reached through it.
public struct Service: Sendable {
  /// What the connecting side asks for; empty for the default one.
  public var name: String
  /// Where its flows go.
  public var target: Target
  /// Tells a TCP or Unix target whom each connection comes from; nil for plain connections.
  public var proxyProtocol: ProxyProtocol?

  /// A service; `name` is empty or satisfies `isName`.
  public init(name: String, target: Target) {
    precondition(name.isEmpty || Self.isName(name))
    self.name = name
    self.target = target
  }

  /// Where the flows of a service go.
  public enum Target: Sendable {
    /// A TCP server's addresses, tried in order for each flow. See `HostResolver`.
    case tcp([SocketAddress])
    /// A UDP server's addresses; each flow goes to the first of a family that this machine has.
    case udp([SocketAddress])
    /// A server at a Unix stream socket.
    case unix(path: String)
    /// Two descriptors of this process, such as 0 and 1: one flow, once. See `StandardStreams`.
    case streams(input: Int32, output: Int32)
    /// TCP destinations that the connecting side names, as far as the rules allow them.
    case dynamic(TargetRules)
    /// The files of a folder, served over HTTP/1.1 by this process. See `SharedFolder`.
    case folder(path: String)
  }

  /// The most services of one share.
  public static let countMax = ControlMessage.servicesMax

  /// Whether `text` can name a service: 1 to 63 letters, digits, dots, hyphens and underscores of
  /// ASCII, the first of them a letter or digit, so that it needs no quoting anywhere.
  public static func isName(_ text: String) -> Bool {
    guard (1...63).contains(text.utf8.count), let first = text.utf8.first else { return false }
    return isAlphanumeric(first)
      && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: false
    }
  }

  /// How it is announced to the connecting side.
  var announcement: ControlMessage.Service {
    ControlMessage.Service(name: name, port: suggestedPort, kind: kind)
  }

  private var kind: ControlMessage.Service.Kind {
    switch target {
    case .dynamic: .dynamic
    case .udp: .datagram
    case .tcp, .unix, .streams, .folder: .stream
    }
  }

  /// Where a stream of it goes; nowhere for one of datagrams.
  var route: ServiceRoute {
    switch target {
    case .tcp(let addresses):
      ServiceRoute(goal: .addresses(addresses.map(StreamAddress.tcp)), proxyProtocol: proxyProtocol)
    case .udp: ServiceRoute(goal: .datagrams)
    case .unix(let path):
      ServiceRoute(goal: .addresses([.unix(path)]), proxyProtocol: proxyProtocol)
    case .streams(let input, let output):
      ServiceRoute(goal: .addresses([.streams(input: input, output: output)]))
    case .dynamic(let rules): ServiceRoute(goal: .named(rules))
    case .folder(let path): ServiceRoute(goal: .addresses([.folder(path)]))
    }
  }

  /// Where a datagram of it goes; nowhere for a service of streams.
  var datagramTargets: [SocketAddress] {
    if case .udp(let addresses) = target { addresses } else { [] }
  }

  /// The port for the connecting side to listen on; 0 when there is none to suggest.
  var suggestedPort: UInt16 {
    switch target {
    case .tcp(let addresses), .udp(let addresses): addresses.first?.port ?? 0
    case .unix, .streams: 0
    // The connecting side opens it as a proxy; this is the port that SOCKS has (RFC 1928 §3).
    case .dynamic: 1080
    // What web servers take beside 80, which needs a permission.
    case .folder: 8080
    }
  }
}

/// Where the flows of one service go, as the sharing side needs it for each of them.
struct ServiceRoute {
  let goal: Goal
  var proxyProtocol: ProxyProtocol?
  /// The far end waits to hear that the target is reached.
  var sendsGoAhead = false

  enum Goal {
    /// In the order of trying.
    case addresses([StreamAddress])
    /// Where the dialer says.
    case named(TargetRules)
    /// Nowhere: its flows are of datagrams.
    case datagrams
  }
}

/// Where one connection of a stream flow can go.
enum StreamAddress: Hashable {
  case tcp(SocketAddress)
  case unix(String)
  case streams(input: Int32, output: Int32)
  /// A folder's path.
  case folder(String)
}
