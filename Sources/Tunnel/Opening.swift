public import QuicTransport

/// Which services of a share a link opens, and where.
public enum Opening: Sendable {
  /// All of them, each at 127.0.0.1 and the port that the sharing side suggests, TCP or UDP.
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
    /// Where to open it; for a UDP service, `.tcp` stands for UDP at the same place.
    public var address: LocalAddress

    /// A choice.
    public init(name: String?, address: LocalAddress) {
      self.name = name
      self.address = address
    }
  }

  /// What to open, given what there is.
  ///
  /// - Throws: `.unknownService`, `.wrongKind`.
  func plan(offered: [ControlMessage.Service]) throws(TunnelError) -> [OpenedService] {
    switch self {
    case .everything:
      return offered.compactMap { service in
        let address = SocketAddress.loopbackIPv4.with(port: service.port)
        switch service.kind {
        case .stream: return OpenedService(name: service.name, address: .tcp(address))
        case .datagram: return OpenedService(name: service.name, address: .udp(address))
        // Of a later version; the others are of use without it.
        case .unknown: return nil
        }
      }
    case .streams: return []
    case .chosen(let choices):
      var plan: [OpenedService] = []
      for choice in choices {
        var name = choice.name ?? ""
        if choice.name == nil { name = try Self.soleService(among: offered) }
        guard let service = offered.first(where: { $0.name == name }) else {
          throw .unknownService(name, offered: offered.map(\.name))
        }
        let address = try Self.place(service, at: choice.address)
        plan.append(OpenedService(name: name, address: address))
      }
      return plan
    }
  }

  private static func place(
    _ service: ControlMessage.Service, at address: LocalAddress
  ) throws(TunnelError) -> LocalAddress {
    switch (service.kind, address) {
    case (.datagram, .tcp(let place)): return .udp(place)
    case (.datagram, .udp), (.stream, .tcp), (.stream, .unix): return address
    case (.datagram, .unix), (.stream, .udp), (.unknown, _):
      throw .wrongKind(service.name, isDatagram: service.kind == .datagram)
    }
  }

  /// The same for a flow of bytes, such as a pipe.
  static func soleStreamService(
    among offered: [ControlMessage.Service]
  ) throws(TunnelError) -> String {
    let name = try soleService(among: offered)
    guard offered.contains(where: { $0.name == name && $0.kind == .stream }) else {
      throw .wrongKind(name, isDatagram: true)
    }
    return name
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

/// A place on this machine that local programs connect or write to.
public enum LocalAddress: Hashable, Sendable, CustomStringConvertible {
  /// A TCP address; port 0 picks a free one.
  case tcp(SocketAddress)
  /// A UDP address; port 0 picks a free one.
  case udp(SocketAddress)
  /// A Unix stream socket, made with mode 0600 and removed at the end.
  case unix(path: String)

  /// `127.0.0.1:80`, `udp:127.0.0.1:53` or `unix:/run/app.sock`
  public var description: String {
    switch self {
    case .tcp(let address): address.description
    case .udp(let address): "udp:\(address)"
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
