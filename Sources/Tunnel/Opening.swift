public import QuicTransport

/// Which services of a share a link opens, and where.
public enum Opening: Sendable {
  /// All of them, each at 127.0.0.1 and the port that the sharing side suggests.
  case everything
  /// These and no others.
  case chosen([Choice])

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
    case .chosen(let choices):
      var plan: [OpenedService] = []
      for choice in choices {
        let service = offered.first { $0.name == choice.name ?? "" }
        guard let service = service ?? (choice.name == nil ? offered.only : nil) else {
          throw .unknownService(choice.name ?? "", offered: offered.map(\.name))
        }
        plan.append(OpenedService(name: service.name, address: choice.address))
      }
      return plan
    }
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

extension Array {
  /// The element, where there is exactly one.
  fileprivate var only: Element? { count == 1 ? first : nil }
}
