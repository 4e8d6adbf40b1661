public import QuicTransport

/// The tickets that were made with an identity, and the shares that run with it now.
///
/// It holds no secret: what makes a ticket valid follows from the identity's key. A restricted
/// ticket is good only while it stands here and is not revoked, so a list that is lost or damaged
/// lets nobody in who should not be.
public struct Ledger: Equatable, Sendable {
  /// In the order in which they started.
  public internal(set) var shares: [ShareRecord] = []
  /// In the order in which they were made.
  public internal(set) var tickets: [TicketRecord] = []

  /// An empty one.
  public init() {}

  /// A running share.
  public struct ShareRecord: Equatable, Sendable {
    /// The process that runs it.
    public let process: ProcessMark
    /// The UDP and TCP port that it listens on.
    public let port: UInt16
    /// What its capability is derived from, together with the identity.
    public let context: String
    /// Where it may be reached.
    public let addresses: [SocketAddress]
    /// The port hint of its tickets.
    public let suggestedPort: UInt16
    /// The names of its services; empty for the one without a name.
    public let services: [String]
    /// Who brings peers to it.
    public let rendezvous: [RendezvousAddress]

    /// All of it.
    public init(
      process: ProcessMark, port: UInt16, context: String, addresses: [SocketAddress],
      suggestedPort: UInt16, services: [String], rendezvous: [RendezvousAddress]
    ) {
      self.process = process
      self.port = port
      self.context = context
      self.addresses = addresses
      self.suggestedPort = suggestedPort
      self.services = services
      self.rendezvous = rendezvous
    }
  }

  /// A ticket that was made.
  public struct TicketRecord: Equatable, Sendable {
    /// What it allows.
    public let grant: Grant
    /// What its maker calls it.
    public let label: String
    /// When it was made, in seconds since 1970.
    public let created: UInt64
    /// Whether it was taken back.
    public internal(set) var isRevoked = false
    /// The identities that used it, where their number is limited.
    public internal(set) var users: [PublicKey] = []

    /// A new one.
    public init(grant: Grant, label: String, created: UInt64) {
      self.grant = grant
      self.label = label
      self.created = created
    }

    /// How many more identities may use it; nil for any number.
    public var usesLeft: UInt64? {
      grant.uses == 0 ? nil : grant.uses - min(grant.uses, UInt64(users.count))
    }

    /// What it is worth at `time`, in seconds since 1970.
    public func status(at time: UInt64) -> Status {
      if isRevoked { return .revoked }
      if grant.isExpired(at: time) { return .expired }
      return usesLeft == 0 ? .usedUp : .valid
    }
  }

  /// What a ticket is worth. A ticket that is used up still lets in those who used it.
  public enum Status: String, Sendable {
    case valid
    case revoked
    case expired
    case usedUp = "used-up"
  }

  /// The ticket of that number.
  public func ticket(_ id: GrantID) -> TicketRecord? {
    tickets.first { $0.grant.id == id }
  }

  /// The shares whose processes live.
  public var runningShares: [ShareRecord] { shares.filter(\.process.isAlive) }

  // MARK: Changes

  /// Adds a ticket; where there is no room, one that is worth nothing any more has to go.
  public mutating func add(_ ticket: TicketRecord, now: UInt64) throws(AccessFileError) {
    if tickets.count >= Self.ticketsMax {
      let useless = tickets.firstIndex { $0.isRevoked || $0.grant.isExpired(at: now) }
      guard let useless else { throw .full }
      tickets.remove(at: useless)
    }
    tickets.append(ticket)
  }

  /// Adds a share, and forgets those whose processes ended without a word.
  public mutating func add(_ share: ShareRecord) throws(AccessFileError) {
    shares = runningShares
    guard shares.count < Self.sharesMax else { throw .full }
    shares.append(share)
  }

  /// Forgets a share.
  public mutating func remove(_ share: ShareRecord) {
    shares.removeAll { $0 == share }
  }

  /// Takes a ticket back; false if there is none of that number.
  @discardableResult
  public mutating func revoke(_ id: GrantID) -> Bool {
    guard let index = tickets.firstIndex(where: { $0.grant.id == id }) else { return false }
    tickets[index].isRevoked = true
    return true
  }

  /// Notes that an identity uses a ticket; false if it may not, because as many others did.
  mutating func use(_ id: GrantID, by user: PublicKey) -> Bool {
    guard let index = tickets.firstIndex(where: { $0.grant.id == id }) else { return false }
    if tickets[index].grant.uses == 0 || tickets[index].users.contains(user) { return true }
    guard tickets[index].usesLeft != 0 else { return false }
    tickets[index].users.append(user)
    return true
  }

  /// More than anybody oversees; each costs a line that every share reads.
  static let ticketsMax = 1_024
  static let sharesMax = 64
  /// The longest label, in bytes.
  public static let labelMax = 128

  /// Whether `text` can be a label: visible, and of no more than `labelMax` bytes.
  public static func isLabel(_ text: String) -> Bool {
    (1...labelMax).contains(text.utf8.count)
      && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
  }
}
