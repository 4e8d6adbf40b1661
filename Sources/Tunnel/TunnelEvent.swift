public import QuicTransport

/// What a share or a link tells its owner while it runs. The library itself prints nothing.
public enum TunnelEvent: Sendable {
  /// A session is open.
  case sessionOpened(peer: PublicKey?, path: SessionPath, rtt: Duration)
  /// A session moved to another path; its flows go on.
  case sessionMoved(path: SessionPath, reason: SwitchReason)
  /// There was no direct path within so long; the start is not held back any longer.
  case notDirectInTime(Duration)
  /// Nothing has been heard of the peer for so long, although an answer is due; told once for each
  /// outage.
  case sessionSilent(peer: PublicKey?, for: Duration)
  /// The peer is heard of again, after so long. The session goes on where it was.
  case sessionReturned(peer: PublicKey?, after: Duration)
  /// There is no session; the link dials again after the delay. The first attempt of a row is 1.
  case retrying(attempt: Int, after: Duration, because: TunnelError)
  /// A session that was open ended.
  case sessionEnded(peer: PublicKey?, remote: SocketAddress, reason: QuicError)
  /// A peer was not let in, or gave up before it was. Peers that keep trying from one address are
  /// told of every ten seconds only.
  case sessionRefused(remote: SocketAddress, reason: QuicError)
  case flowOpened(number: Int64)
  case flowEnded(FlowReport)
  /// An HTTP request passed through the share and has its answer, or will have none.
  case request(RequestReport)
  /// A UDP flow began; they are numbered on their own.
  case datagramFlowOpened(number: UInt64)
  case datagramFlowEnded(DatagramFlowReport)
  /// A peer had us listen there; its address, and whoever connects reaches it.
  case listeningForPeer(peer: PublicKey?, SocketAddress)
  /// A peer wanted us to listen where the rules do not allow it, or without the right to.
  case listenRefused(peer: PublicKey?, SocketAddress)
  /// The sharing side listens there for us, from now or again.
  case remoteListening(SocketAddress)
  /// The sharing side does not listen there for us. What it did before a reconnect is asked for again.
  case remoteListenRefused(SocketAddress, ListenStatus)
  /// A relay listens publicly for us there, from now or again.
  case publicListening(PublicAddress)
  /// A relay does not listen for us, or not any more. The first answer to a wish is told as such; where
  /// it listened before, it is asked again if that may help.
  case publicRefused(PublicAddress, PublicStatus, isFirst: Bool)
  /// The target of a service fails its health check, or passes it (again); why it failed last.
  case targetHealth(service: String, isUp: Bool, HealthProblem?)
  /// A local connection was closed because the peer allows no more flows for now.
  case flowLimitReached
  /// The peer takes no new flows.
  case peerDraining(reason: String)
  /// A file that says who may come in cannot be used: nobody new is let in by it until it can.
  case accessFileUnusable(AccessProblem)
  /// News of a rendezvous, or of a peer that it introduced.
  case meeting(MeetingEvent)
}

/// The sums of a share or link since it began.
public struct TunnelTotals: Sendable {
  /// Sessions open now, and in all.
  public var sessionsOpen = 0
  /// Sessions in all.
  public var sessions = 0
  /// Flows that are open now.
  public var flowsOpen = 0
  /// Flows in all.
  public var flows = 0
  /// Flows that never reached the target or lost their session.
  public var flowsFailed = 0
  /// Those of them that the target refused.
  public var flowsRefused = 0
  /// Bytes of local programs that went to the peers, and back.
  public var bytesSent: UInt64 = 0
  /// Bytes from the peers for local programs.
  public var bytesReceived: UInt64 = 0
  /// UDP flows that are open now.
  public var datagramFlowsOpen = 0
  /// UDP flows in all.
  public var datagramFlows = 0
  /// What the UDP flows moved; it is not part of `bytesSent` and `bytesReceived`.
  public var datagrams = DatagramTraffic()
  /// Of the session that was opened last.
  public var connection = ConnectionStatistics()
  /// Its path, while there is one.
  public var path: SessionPath?
  /// Services whose target fails its health check.
  public var targetsDown = 0
  /// How often sessions changed their path.
  public var switches = 0

  /// All zero.
  public init() {}
}

extension TunnelTotals {
  /// Adds flows that belong to no session.
  mutating func add(flowsOf other: TunnelTotals) {
    flows += other.flows
    flowsOpen += other.flowsOpen
    flowsFailed += other.flowsFailed
    flowsRefused += other.flowsRefused
    bytesSent += other.bytesSent
    bytesReceived += other.bytesReceived
    datagramFlows += other.datagramFlows
    datagramFlowsOpen += other.datagramFlowsOpen
    datagrams += other.datagrams
  }

  /// Adds the UDP flows of a session.
  mutating func note(_ flows: DatagramFlows?) {
    guard let flows else { return }
    datagramFlowsOpen += flows.flowsOpen
    datagramFlows += flows.flowsOpened
    datagrams += flows.traffic
  }
}
