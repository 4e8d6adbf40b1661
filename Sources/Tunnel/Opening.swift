public import QuicTransport

/// Which services of a share a link opens, and where.
public enum Opening: Sendable {
  /// All of them, each at 127.0.0.1 and the port that the sharing side suggests.
  case everything
  /// These and no others.
  case chosen([Choice])
  /// No address: two descriptors of this process, such as 0 and 1, become one flow to the service
  /// without a name, or the only one there is. See `StandardStreams`.
  case streams(input: Int32, output: Int32)

  /// One service and its place.
  public struct Choice: Sendable {
    /// Its name; nil for the one without a name, or the only one there is.
    public var name: String?
    /// Where to open it.
    public var address: LocalAddress

    /// A choice.
    public init(name: String?, address: LocalAddress) {
      self.name = name
      self.address = address
    }

    /// A service at 127.0.0.1 and whatever port is free; see `Link.services`.
    public static func anyPort(_ name: String? = nil) -> Choice {
      Choice(name: name, address: .tcp(.loopbackIPv4))
    }
  }

  /// What to open, given what there is.
  ///
  /// - Throws: `.unknownService`.
  func plan(offered: [ControlMessage.Service]) throws(TunnelError) -> [OpenedService] {
    switch self {
    case .everything:
      return offered.map { service in
        let address = SocketAddress.loopbackIPv4.with(port: service.port)
        return OpenedService(name: service.name, address: .tcp(address))
      }
    case .streams: return []
    case .chosen(let choices):
      var plan: [OpenedService] = []
      for choice in choices {
        var name = choice.name ?? ""
        if choice.name == nil { name = try Self.soleService(among: offered) }
        guard offered.contains(where: { $0.name == name }) else {
          throw .unknownService(name, offered: offered.map(\.name))
        }
        plan.append(OpenedService(name: name, address: choice.address))
      }
      return plan
    }
  }

  /// What is meant where no service is named: the one without a name, or the only one.
  static func soleService(among offered: [ControlMessage.Service]) throws(TunnelError) -> String {
    if offered.contains(where: \.name.isEmpty) { return "" }
    guard offered.count == 1, let service = offered.first else {
      throw .unknownService("", offered: offered.map(\.name))
    }
    return service.name
  }
}

/// A place on this machine that local programs connect to.
public enum LocalAddress: Hashable, Sendable, CustomStringConvertible {
  /// A TCP address; port 0 picks a free one.
  case tcp(SocketAddress)
  /// A Unix stream socket, made with mode 0600 and removed at the end.
  case unix(path: String)

  /// `127.0.0.1:80` or `unix:/run/app.sock`
  public var description: String {
    switch self {
    case .tcp(let address): address.description
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// A service of a share and where it was opened.
public struct OpenedService: Hashable, Sendable {
  /// Its name; empty for the default one.
  public let name: String
  /// The address that local programs connect to, with its real port.
  public let address: LocalAddress
}
