public import QuicTransport

/// Which services of a share a link opens, and where.
public enum Opening: Sendable {
  /// All of them, each at 127.0.0.1 and the port that the sharing side suggests, TCP or UDP.
  case everything
  /// These and no others.
  case chosen([Choice])
  /// No address: two descriptors of this process, such as 0 and 1, become one flow; see
  /// `StandardStreams`. It goes to the destination, through the only dynamic service, or, without
  /// one, to the service without a name or the only one there is.
  case streams(input: Int32, output: Int32, to: Destination?)

  /// One service and its place.
  public struct Choice: Sendable {
    /// The service's name. nil for the one without a name or the only one there is; with a
    /// destination, and for `.proxy`, the only dynamic one.
    public var name: String?
    /// Where to open it; for a UDP service, `.tcp` stands for UDP at the same place.
    public var address: LocalAddress
    /// What to open.
    public var use: Use

    /// A choice.
    public init(name: String?, address: LocalAddress, use: Use) {
      self.name = name
      self.address = address
      self.use = use
    }

    /// A service at 127.0.0.1 and whatever port is free; see `Link.services`.
    public static func anyPort(_ name: String? = nil) -> Choice {
      Choice(name: name, address: .tcp(.loopbackIPv4), use: .service)
    }
  }

  /// What programs find at an opened address.
  public enum Use: Sendable {
    /// The service: its target, or a proxy if it is a dynamic one.
    case service
    /// A proxy (SOCKS5, SOCKS4a, HTTP) to what a dynamic service allows.
    case proxy
    /// One destination, through a dynamic service.
    case forward(to: Destination)
  }

  /// What to open, given what there is.
  ///
  /// - Throws: `.unknownService`, `.wrongKind`, `.notDynamic`, `.noDynamicService`.
  func plan(offered: [ControlMessage.Service]) throws(TunnelError) -> [PlannedOpening] {
    switch self {
    case .everything:
      return offered.compactMap { service in
        let address = SocketAddress.loopbackIPv4.with(port: service.port)
        let place: LocalAddress
        switch service.kind {
        case .stream, .dynamic: place = .tcp(address)
        case .datagram: place = .udp(address)
        // Of a later version; the others are of use without it.
        case .unknown: return nil
        }
        return PlannedOpening(
          service: OpenedService(
            name: service.name, address: place, isProxy: service.kind == .dynamic),
          destination: nil)
      }
    case .streams: return []
    case .chosen(let choices):
      var plan: [PlannedOpening] = []
      for choice in choices { plan.append(try choice.plan(offered: offered)) }
      return plan
    }
  }

  /// What is meant where none is named, for a flow of bytes, such as a pipe.
  static func soleStreamService(
    among offered: [ControlMessage.Service]
  ) throws(TunnelError) -> String {
    let service = try soleService(among: offered)
    guard service.kind == .stream else {
      throw .wrongKind(service.name, isDatagram: service.kind == .datagram)
    }
    return service.name
  }

  /// What is meant where no service is named: the one without a name, or the only one.
  static func soleService(
    among offered: [ControlMessage.Service]
  ) throws(TunnelError) -> ControlMessage.Service {
    if let service = offered.first(where: \.name.isEmpty) { return service }
    guard offered.count == 1, let service = offered.first else {
      throw .unknownService("", offered: offered.map(\.name))
    }
    return service
  }

  /// What is meant where a destination is named and no service: the only dynamic one.
  static func dynamicService(
    _ name: String?, among offered: [ControlMessage.Service]
  ) throws(TunnelError) -> ControlMessage.Service {
    if let name {
      guard let service = offered.first(where: { $0.name == name }) else {
        throw .unknownService(name, offered: offered.map(\.name))
      }
      guard service.kind == .dynamic else { throw .notDynamic(name) }
      return service
    }
    let dynamic = offered.filter { $0.kind == .dynamic }
    guard !dynamic.isEmpty else { throw .noDynamicService }
    return try soleService(among: dynamic)
  }
}

extension Opening.Choice {
  fileprivate func plan(
    offered: [ControlMessage.Service]
  ) throws(TunnelError) -> PlannedOpening {
    let service: ControlMessage.Service
    var destination: Destination?
    switch use {
    case .service:
      if let name {
        guard let found = offered.first(where: { $0.name == name }) else {
          throw .unknownService(name, offered: offered.map(\.name))
        }
        service = found
      } else {
        service = try Opening.soleService(among: offered)
      }
    case .proxy: service = try Opening.dynamicService(name, among: offered)
    case .forward(let wanted):
      service = try Opening.dynamicService(name, among: offered)
      destination = wanted
    }
    let isProxy = service.kind == .dynamic && destination == nil
    return PlannedOpening(
      service: OpenedService(
        name: service.name, address: try place(of: service), isProxy: isProxy),
      destination: destination)
  }

  private func place(of service: ControlMessage.Service) throws(TunnelError) -> LocalAddress {
    switch (service.kind, address) {
    case (.datagram, .tcp(let place)): return .udp(place)
    case (.datagram, .udp), (.stream, .tcp), (.stream, .unix), (.dynamic, .tcp), (.dynamic, .unix):
      return address
    case (.datagram, .unix), (.stream, .udp), (.dynamic, .udp), (.unknown, _):
      throw .wrongKind(service.name, isDatagram: service.kind == .datagram)
    }
  }
}

/// An address to open, and where its connections go.
struct PlannedOpening: Equatable {
  var service: OpenedService
  /// nil for the service's own target, and for proxies.
  var destination: Destination?
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
  /// Whether programs find a proxy there.
  public let isProxy: Bool
}
