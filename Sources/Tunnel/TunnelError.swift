public import QuicTransport

/// Why a tunnel did not come about, or ended.
public enum TunnelError: Error, Sendable {
  /// A local address cannot be listened on.
  case cannotBind(SocketAddress, RuntimeError)
  /// The local address of a service cannot be listened on.
  case cannotListen(OpenedService, RuntimeError)
  /// The share has no service of this name (empty: no default one), but these.
  case unknownService(String, offered: [String])
  /// The service of this name takes no destinations of the connecting side's choosing.
  case notDynamic(String)
  /// No service of the share takes destinations of the connecting side's choosing.
  case noDynamicService
  /// None of the ticket's addresses answered.
  case unreachable([SocketAddress])
  /// UDP does not pass, and the proxy gave no connection.
  case proxy(ProxyError)
  /// The peer does not accept the ticket, or us; in its own words.
  case refused(String)
  /// Somebody else answers at the ticket's address.
  case identityMismatch(expected: PublicKey, actual: PublicKey)
  /// The peer speaks another protocol or version.
  case incompatible(String)
  /// One side ended the session, with its reason.
  case ended(String)
  /// The session was lost.
  case lost(QuicError)
  case configuration(String)
  case system(RuntimeError)

  init(_ error: QuicError) {
    switch error {
    case .configuration(let reason): self = .configuration(reason)
    case .system(let error): self = .system(error)
    case .identityMismatch(let expected, let actual):
      self = .identityMismatch(expected: expected, actual: actual)
    case .rejectedByPeer: self = .refused("it does not accept our identity")
    case .peerRejected(let reason): self = .incompatible(reason)
    case .protocolMismatch, .versionMismatch: self = .incompatible(error.description)
    case .application(TunnelCode.notAuthorized, true, let reason): self = .refused(reason)
    // 0x08 to 0x0b say, too, that we are not let in: they never heal by themselves.
    case .application(0x08...0x0b, true, let reason): self = .refused(reason)
    case .application(TunnelCode.versionUnsupported, true, let reason):
      self = .incompatible(reason)
    case .application(TunnelCode.done, _, let reason),
      .application(TunnelCode.shuttingDown, _, let reason),
      .application(TunnelCode.drained, _, let reason):
      self = .ended(reason)
    default: self = .lost(error)
    }
  }
}
