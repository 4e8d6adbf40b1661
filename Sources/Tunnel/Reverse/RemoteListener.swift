public import QuicTransport

/// A wish that the sharing side listen for us, and where its connections go here.
public struct RemoteListener: Sendable {
  /// The address at the sharing side; port 0 asks for a free one.
  public var address: SocketAddress
  /// Where its connections go on this side.
  public var target: Target
  /// Tells the target which program connected at the sharing side; nil for plain connections.
  public var proxyProtocol: ProxyProtocol?

  /// A wish.
  public init(address: SocketAddress, target: Target) {
    self.address = address
    self.target = target
  }

  /// A program of this side.
  public enum Target: Sendable {
    /// A TCP server's addresses, tried in order for each flow. See `HostResolver`.
    case tcp([SocketAddress])
    /// A server at a Unix stream socket.
    case unix(path: String)
  }

  /// The most of one session.
  public static let countMax = ControlMessage.listenersMax

  var route: ServiceRoute {
    switch target {
    case .tcp(let addresses):
      ServiceRoute(goal: .addresses(addresses.map(StreamAddress.tcp)), proxyProtocol: proxyProtocol)
    case .unix(let path):
      ServiceRoute(goal: .addresses([.unix(path)]), proxyProtocol: proxyProtocol)
    }
  }
}
