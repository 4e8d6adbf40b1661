internal import QuicTransport

/// What a share listens for on behalf of its peers.
struct ReverseOffer {
  /// Where.
  let rules: ListenRules
  /// How.
  let listen: ServedListeners.Listen
}

extension ReverseOffer {
  /// With sockets of the system.
  init(rules: ListenRules, loop: EpollLoop) {
    self.init(rules: rules) { address, accepted throws(RuntimeError) in
      let listener = try TCPListener(loop: loop, binding: address) { accepted($0, $1) }
      return ServedListeners.OpenListener(address: listener.localAddress, close: listener.close)
    }
  }
}
