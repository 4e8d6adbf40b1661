internal import QuicTransport

/// The tokens that a relay takes. It holds no secret: of each token it has the digest.
public struct TokenList: Equatable, Sendable {
  /// In the order in which they were made.
  public private(set) var tokens: [Record] = []

  /// An empty one.
  public init() {}

  /// A token that was made.
  public struct Record: Equatable, Sendable {
    /// What it allows.
    public let scope: RelayScope
    /// What its maker calls it.
    public let label: String
    /// When it was made, in seconds since 1970.
    public let created: UInt64
    /// When it ends, in seconds since 1970; 0 for never.
    public let expiry: UInt64
    /// SHA-256 of its secret.
    let digest: [UInt8]
    /// Whether it was taken back.
    public fileprivate(set) var isRevoked = false

    /// A new one.
    public init(
      _ token: RelayToken, scope: RelayScope, label: String, created: UInt64, expiry: UInt64
    ) {
      self.init(
        digest: token.digest, scope: scope, label: label, created: created, expiry: expiry)
    }

    fileprivate init(
      digest: [UInt8], scope: RelayScope, label: String, created: UInt64, expiry: UInt64
    ) {
      self.digest = digest
      self.scope = scope
      self.label = label
      self.created = created
      self.expiry = expiry
    }

    /// What it is called in lists and logs.
    public var id: RelayTokenID { RelayTokenID(digest: digest) }

    /// What it is worth at `time`, in seconds since 1970. The second of the expiry is over.
    public func status(at time: UInt64) -> Ledger.Status {
      if isRevoked { return .revoked }
      return expiry != 0 && time >= expiry ? .expired : .valid
    }
  }

  /// The token with this name.
  public func token(_ id: RelayTokenID) -> Record? { tokens.first { $0.id == id } }

  /// The token with this digest. The time that it takes tells nothing of the digests.
  func token(digest: [UInt8]) -> Record? {
    let digest = SecretBytes(digest)
    var found: Record?
    for token in tokens where token.digest.withUnsafeBytes({ digest.matches($0) }) {
      found = token
    }
    return found
  }

  // MARK: Changes

  /// Adds a token; where there is no room, one that is worth nothing any more has to go.
  public mutating func add(_ token: Record, now: UInt64) throws(AccessFileError) {
    if tokens.count >= Self.tokensMax {
      guard let useless = tokens.firstIndex(where: { $0.status(at: now) != .valid }) else {
        throw .full
      }
      tokens.remove(at: useless)
    }
    tokens.append(token)
  }

  /// Takes a token back; false if there is none of that name.
  @discardableResult
  public mutating func revoke(_ id: RelayTokenID) -> Bool {
    guard let index = tokens.firstIndex(where: { $0.id == id }) else { return false }
    tokens[index].isRevoked = true
    return true
  }

  /// More than anybody oversees; each is looked at for each node that shows one.
  static let tokensMax = 1_024
}

// MARK: - File

/// The tokens of the relay with an identity: `qtun token` writes the list, the relay reads it again
/// when it changes.
public typealias TokenFile = RecordFile<TokenList>

/// `qtun-tokens 1`, records `token CREATED EXPIRY STATE RELAYS RATE PORTS NAMES DIGEST LABEL`, `end`.
///
/// Every line must be understood: half a list would bring revoked tokens back to life.
extension TokenList: RecordList {
  /// `relay.tokens` beside the key file `relay`.
  public static let fileSuffix = ".tokens"

  /// The content of the file.
  public var text: [UInt8] {
    RecordText.bytes(heading: Self.heading, records: tokens.map(\.fields))
  }

  /// Reads the content of a file.
  public init(text: [UInt8]) throws(AccessFileError) {
    for (line, fields) in try RecordText.records(text, heading: Self.heading) {
      guard tokens.count < Self.tokensMax, let token = Record(fields: fields),
        self.token(token.id) == nil
      else { throw .malformed(line: line) }
      tokens.append(token)
    }
  }

  private static let heading = "qtun-tokens 1"
}

extension TokenList.Record {
  fileprivate var fields: [String] {
    let ports = scope.ports.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    return [
      "token", "\(created)", "\(expiry)", isRevoked ? "revoked" : "issued",
      scope.relays ? "relay" : "-", scope.bytesPerSecond.map { "\($0)" } ?? "-",
      ports.isEmpty ? "-" : ports, scope.names.isEmpty ? "-" : scope.names.joined(separator: ","),
      Base32.encode(digest), label,
    ]
  }

  fileprivate init?(fields: [String]) {
    guard fields.count == 10, fields[0] == "token", let created = UInt64(fields[1]),
      let expiry = UInt64(fields[2]), ["issued", "revoked"].contains(fields[3]),
      ["relay", "-"].contains(fields[4]), let ports = Self.ports(fields[6]),
      let digest = Base32.decode(fields[8]), digest.count == 32
    else { return nil }
    let rate = Int(fields[5])
    guard rate != nil || fields[5] == "-",
      let scope = RelayScope(
        relays: fields[4] == "relay", ports: ports, names: Self.words(fields[7]),
        bytesPerSecond: rate)
    else { return nil }
    self.init(
      digest: digest, scope: scope, label: fields[9], created: created, expiry: expiry)
    isRevoked = fields[3] == "revoked"
  }

  private static func words(_ text: String) -> [String] {
    text == "-" ? [] : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  private static func ports(_ text: String) -> [ClosedRange<UInt16>]? {
    var ranges: [ClosedRange<UInt16>] = []
    for word in words(text) {
      let bounds = word.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
      guard bounds.count == 2, let first = bounds[0], let last = bounds[1], first <= last else {
        return nil
      }
      ranges.append(first...last)
    }
    return ranges
  }
}
