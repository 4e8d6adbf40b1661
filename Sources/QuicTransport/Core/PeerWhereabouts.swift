/// Where a server's client is, and whether it has been asked there: what has to leave first on a new
/// path is the question (RFC 9000 §9.3).
///
/// ngtcp2 1.11 knows that, but when its pacer or a full window holds packets back as the client turns
/// up elsewhere, it lets a bare acknowledgement pass at once and the PATH_CHALLENGE milliseconds later.
/// Such an acknowledgement is kept until the challenge has left.
///
///     current == validated --client turns up elsewhere--> unasked --PATH_CHALLENGE--> asked
///                     ^------------- validated, failed or given up -----------------------'
struct PeerWhereabouts {
  /// The path that ngtcp2 sends on, as far as is known here.
  private(set) var current: NetworkPath
  /// What was written for the new path too early. A later acknowledgement says all that an earlier one
  /// did, so one is enough.
  private(set) var early: StrandedPacket?
  private var validated: NetworkPath
  /// Nothing was asked on the current path, which is new.
  private(set) var mustAsk = false

  /// The path of the handshake, which proves itself.
  init(_ path: NetworkPath) {
    current = path
    validated = path
  }

  /// ngtcp2 sends on `path` from now on. Back to the last one that was validated it goes without asking.
  mutating func follow(_ path: NetworkPath) {
    guard path != current else { return }
    current = path
    mustAsk = path != validated
    early = nil
  }

  /// The peer has answered on `path`.
  mutating func validate(_ path: NetworkPath) {
    validated = path
    if path == current { mustAsk = false }
  }

  /// Whether nothing may leave on `path` yet.
  func isUnasked(on path: NetworkPath) -> Bool { mustAsk && path == current }

  /// A PATH_CHALLENGE was written.
  mutating func ask() { mustAsk = false }

  /// Keeps a packet until the question has left.
  mutating func keep(_ packet: StrandedPacket) { early = packet }

  /// What was kept, once it may leave.
  mutating func takeEarly() -> StrandedPacket? {
    guard !mustAsk, let packet = early else { return nil }
    early = nil
    return packet
  }
}
