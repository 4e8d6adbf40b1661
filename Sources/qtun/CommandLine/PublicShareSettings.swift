internal import Tunnel

/// What a share wants to be public.
struct PublicShareSettings: Equatable, Sendable {
  /// What the relays are asked for; empty for nothing.
  var wishes: [PublicWish] = []
  /// The file with the secret of its group; nil for none.
  var groupFile: String?
  /// How a group spreads its visitors.
  var balance = Balance.roundRobin
  /// How the targets are checked; nil for not at all.
  var health: HealthCheck?
  /// Whether addresses are printed without a QR code.
  var hidesQRCode = false
}

/// Where a relay listens for others.
struct PublicRelaySettings: Equatable, Sendable {
  /// The ports that it gives out.
  var ports: ClosedRange<UInt16>?
  /// Where HTTP shares are told apart by name.
  var http: HostPort?
  /// Where TLS shares are.
  var tls: HostPort?
  /// What HTTP shares are served with by HTTPS.
  var certificate: CertificateFiles?
  /// The names that it gives out.
  var names: [NameRules] = []
  /// The folder for what has to survive a restart; nil for that of the relay's key file.
  var stateFolder: String?

  /// The names as they are written.
  var patterns: String {
    let all = names.flatMap(\.patterns)
    return all.isEmpty ? "none" : all.joined(separator: ",")
  }

  /// Whether it listens anywhere.
  var isOffered: Bool { ports != nil || http != nil || tls != nil }
}

extension PublicRelaySettings {
  /// What does not fit together, also where a part of it stands in the file of --config.
  var complaint: Complaint? {
    let hasDoors = http != nil || tls != nil
    if hasDoors, names.isEmpty {
      return Complaint(
        cause: "--http and --tls tell shares apart by names, and none is given out",
        fix: "add --names, such as --names '*.example.com'")
    }
    if !hasDoors, !names.isEmpty {
      return Complaint(
        cause: "--names is of use with --http or --tls only",
        fix: "add one of them, or leave it out")
    }
    if certificate != nil, http == nil || tls == nil {
      return Complaint(
        cause: "--certificate serves the names of --http at the port of --tls",
        fix: "give both, such as --http 80 --tls 443")
    }
    if !isOffered, stateFolder != nil {
      return Complaint(
        cause: "--state is for public addresses, and there are none",
        fix: "add --ports, --http or --tls, or leave it out")
    }
    return nil
  }
}
