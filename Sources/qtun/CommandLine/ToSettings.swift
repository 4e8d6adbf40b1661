internal import Tunnel

/// What `qtun to` needs.
struct ToSettings: Equatable, Sendable {
  /// Where the ticket is.
  let ticket: TicketSource
  /// What to do with the session.
  let purpose: Purpose
  /// What may carry it, and through what.
  let dialling: DialSettings
  /// When to dial again; nil unless the user said so.
  var retry: RetryChoice?
  /// The file with the user name and password for proxies; nil lets every local program in.
  var proxyAuthFile: String?
  /// What the targets of `-R` are told about each connection's origin.
  var proxyProtocol: ProxyProtocol?
  /// The session's settings.
  let session: SessionSettings

  /// Forwards, or one flow.
  enum Purpose: Equatable, Sendable {
    case forwards(local: [LocalForward], proxies: [HostPort], remote: [RemoteForward])
    case stdio(StdioForward)
  }
}
