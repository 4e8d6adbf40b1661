internal import QuicTransport
internal import Tunnel

/// A running share in the list beside its identity, where `qtun ticket make` finds what it needs.
struct ShareRecording: Sendable {
  private let file: LedgerFile
  private let record: Ledger.ShareRecord

  /// Writes the share down.
  init(
    _ share: Share, file: LedgerFile, context: String, services: [Service]
  ) throws(Failure) {
    self.file = file
    let record = Ledger.ShareRecord(
      process: .current, port: share.localAddress.port, context: context,
      addresses: share.ticket.addresses, suggestedPort: share.ticket.port,
      services: services.map(\.name), rendezvous: share.ticket.rendezvous)
    self.record = record
    try file.change { ledger throws(AccessFileError) in try ledger.add(record) }
  }

  /// Takes it out again. A share that is killed leaves it there, and the next one clears up.
  func remove() {
    try? file.change { ledger throws(AccessFileError) in ledger.remove(record) }
  }
}

extension AccessRules.AllowedIdentities {
  /// From the words behind --allow; nil where there is none.
  init?(_ entries: [AllowEntry]) throws(Failure) {
    guard !entries.isEmpty else { return nil }
    self.init(keys: [], files: [])
    for entry in entries {
      switch entry {
      case .file(let path): files.append(path)
      case .identity(let text):
        guard let key = PublicKey(text: text) else {
          throw Failure(
            .configuration, "\(text) is no identity", fix: "copy what `qtun keygen` printed there")
        }
        keys.append(key)
      }
    }
  }
}
