internal import QuicTransport

/// What the UDP flows of one session can reach, on the sharing side.
final class DatagramTargets {
  private let goals: [Goal]
  private let connect: TargetDatagrams.Connect
  private let finder: TargetFinder
  private let allowance: TargetAllowance
  private let gather: DatagramGather
  private let loop: any EventLoop

  /// Where the datagrams of one service go.
  enum Goal {
    /// To the first of these addresses that this machine has a family for.
    case server([SocketAddress])
    /// Where the dialer says, in each of them.
    case named(TargetRules)
    /// Nowhere: it takes streams.
    case none

    init(_ target: Service.Target) {
      switch target {
      case .udp(let addresses): self = .server(addresses)
      case .dynamic(let rules): self = .named(rules)
      case .tcp, .unix, .streams, .folder: self = .none
      }
    }
  }

  /// - Parameter goals: in the order of the session's WELCOME, which may leave services out.
  init(
    goals: [Goal], connect: @escaping TargetDatagrams.Connect, finder: TargetFinder,
    gather: DatagramGather, loop: any EventLoop
  ) {
    self.goals = goals
    self.connect = connect
    self.finder = finder
    self.gather = gather
    self.loop = loop
    allowance = TargetAllowance(now: loop.now)
  }

  /// The end of a flow to a service; nil where there is none for it, or no socket.
  func open(_ service: UInt64) -> (any DatagramEnd)? {
    let isNamed = service >= DatagramHeader.namedServices
    let index = isNamed ? service - DatagramHeader.namedServices : service
    guard index < UInt64(goals.count) else { return nil }
    switch (goals[Int(index)], isNamed) {
    case (.server(let addresses), false):
      return TargetDatagrams(addresses: addresses, gather: gather, connect: connect)
    case (.named(let rules), true):
      return (try? connect(nil)).map { socket in
        NamedDatagrams(
          socket: socket, rules: rules, finder: finder, allowance: allowance, gather: gather,
          loop: loop)
      }
    case (.server, true), (.named, false), (.none, _): return nil
    }
  }
}
