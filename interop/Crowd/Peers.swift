import QuicTransport
import Tunnel

/// Shares that wait for somebody to come, as `qtun share --rendezvous` does.
actor Peers {
  private let relay: RendezvousAddress
  private let loop: EpollLoop
  private var shares: [Share] = []
  private var ready: Set<Int> = []
  private var overUDP: Set<Int> = []
  /// How often one of them lost the relay.
  private var losses = 0

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(relay: RendezvousAddress, loop: EpollLoop) {
    self.relay = relay
    self.loop = loop
  }

  /// What has become of them, as JSON.
  var report: String {
    #"{"opened": \#(shares.count), "ready": \#(ready.count), "udp": \#(overUDP.count), "#
      + #""losses": \#(losses)}"#
  }

  /// Opens them one after the other.
  func register(count: Int, perSecond: Int) async throws {
    for number in 0..<count {
      shares.append(
        try await Share.open(Share.Configuration.waiting(at: relay), loop: loop) {
          [weak self] event in
          self?.assumeIsolated { $0.heard(event, by: number) }
        })
      try await Task.sleep(for: .seconds(1) / perSecond)
    }
  }

  private func heard(_ event: TunnelEvent, by number: Int) {
    switch event {
    case .meeting(.rendezvousReady(_, let observed)):
      ready.insert(number)
      if observed != nil { overUDP.insert(number) } else { overUDP.remove(number) }
    case .meeting(.rendezvousLost):
      ready.remove(number)
      losses += 1
    default: break
    }
  }
}

extension Share.Configuration {
  /// Somebody new who can be found at a relay.
  static func waiting(at relay: RendezvousAddress) -> Share.Configuration {
    let target = Service.Target.tcp([SocketAddress.loopbackIPv4.with(port: 9)])
    var configuration = standard(
      identity: .generate(), services: [Service(name: "discard", target: target)])
    configuration.rendezvous = [relay]
    // No gateway is near that could be asked.
    configuration.mapsPort = false
    return configuration
  }
}
