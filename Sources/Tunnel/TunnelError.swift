public import HolePunch
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
  /// The sharing side does not listen for us at this address.
  case remoteListenRefused(SocketAddress, ListenStatus)
  /// The service of this name cannot be opened that way: it is, or is not, one of datagrams.
  case wrongKind(String, isDatagram: Bool)
  /// None of the ticket's addresses answered.
  case unreachable([SocketAddress])
  /// None of the relays that are to bring us together answers.
  case relaysUnreachable([SocketAddress])
  /// A relay answers, and the sharing side is not there.
  case peerAbsent
  /// There is no direct path, and none through a relay that is allowed or to be had.
  case notDirect(PunchFailure?)
  /// The relay does not take us, and nothing else is allowed.
  case notRelayed(RelayRefusal)
  /// UDP does not pass, and the proxy gave no connection.
  case proxy(ProxyError)
  /// The peer does not accept the ticket, or us; in its own words.
  case refused(String)
  /// The ticket lets us in no more, or our identity is not on the list.
  case denied(Denial)
  /// A file that says who may come in cannot be used.
  case accessFile(AccessProblem)
  /// The file that a relay keeps its leases in cannot be read.
  case leaseFile(path: String, AccessFileError)
  /// The certificate for a relay's visitors cannot be used.
  case certificate(file: String, QuicError)
  /// The relay does not listen publicly for us.
  case publicRefused(PublicAddress, PublicStatus)
  /// Somebody else answers at the ticket's address.
  case identityMismatch(expected: PublicKey, actual: PublicKey)
  /// The peer speaks another protocol or version.
  case incompatible(String)
  /// The peer proved its identity, and the greeting came to nothing.
  case greetingBroken(GreetingProblem)
  /// One side ended the session, with its reason.
  case ended(String)
  /// The session was lost.
  case lost(QuicError)
  case configuration(String)
  case system(RuntimeError)

  /// Why a peer that is the right one did not greet us.
  public enum GreetingProblem: Sendable, Equatable {
    /// It broke the rules; which.
    case rulesBroken(String)
    /// It says that we did.
    case rulesBrokenByUs(String)
    /// One side waited for the other in vain.
    case notInTime
    /// The connection ended.
    case connectionLost(QuicError)

    init(_ error: QuicError) {
      switch error {
      case .application(TunnelCode.protocolViolation, false, let reason):
        self = .rulesBroken(reason)
      case .application(TunnelCode.protocolViolation, true, let reason):
        self = .rulesBrokenByUs(reason)
      case .application(TunnelCode.helloTimeout, _, _): self = .notInTime
      // RFC 9000 §20.1: what QUIC itself minds about a peer.
      case .transport(_, false, let reason): self = .rulesBroken(reason)
      default: self = .connectionLost(error)
      }
    }
  }

  /// Why somebody who holds a ticket of the share is not let in, or was sent away.
  public enum Denial: Sendable {
    /// The ticket was taken back.
    case revoked
    /// The ticket's time is over.
    case expired
    /// As many identities as the ticket allows have used it, and ours is none of them.
    case usedUp
    /// The share has a list of identities, without ours.
    case identityNotAllowed
  }

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
    case .application(TunnelCode.revoked, true, _): self = .denied(.revoked)
    case .application(TunnelCode.expired, true, _): self = .denied(.expired)
    case .application(TunnelCode.usedUp, true, _): self = .denied(.usedUp)
    case .application(TunnelCode.identityNotAllowed, true, _): self = .denied(.identityNotAllowed)
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
