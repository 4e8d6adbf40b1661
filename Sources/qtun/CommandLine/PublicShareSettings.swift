internal import Tunnel

/// What a share wants to be public.
struct PublicShareSettings: Equatable, Sendable {
  /// What the relays are asked for; empty for nothing.
  var wishes: [PublicWish] = []
  /// The file with the secret of its group; nil for none.
  var groupFile: String?
  /// How a group spreads its visitors.
  var balance = Balance.roundRobin
  /// Whether addresses are printed without a QR code.
  var hidesQRCode = false
}

/// Where a relay listens for others.
struct PublicRelaySettings: Equatable, Sendable {
  /// The ports that it gives out.
  var ports: PortRange?
  /// Where HTTP shares are told apart by name.
  var http: HostPort?
  /// Where TLS shares are.
  var tls: HostPort?
  /// What HTTP shares are served with by HTTPS.
  var certificate: CertificateFiles?
  /// The names that it gives out.
  var names: [NameRules] = []
  /// Whether everybody may have one.
  var isOpen = false
  /// Who may otherwise.
  var allowed: [AllowEntry] = []
  /// The folder for what has to survive a restart.
  var stateFolder: String?

  /// Whether it listens anywhere.
  var isOffered: Bool { ports != nil || http != nil || tls != nil }
}
