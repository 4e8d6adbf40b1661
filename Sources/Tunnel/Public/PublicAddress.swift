public import QuicTransport

/// A wish of a share that its relays listen publicly for one of its services.
public struct PublicWish: Equatable, Sendable {
  /// The service's name.
  public var service: String
  /// What the relay shall take.
  public var kind: PublicKind
  /// The port, or 0 for the one of the last time, or a free one. Not for kinds with names.
  public var port: UInt16
  /// The host name that visitors use (`PublicName.canonical`); empty for kinds without names.
  public var name: String

  /// A wish.
  public init(service: String, kind: PublicKind, port: UInt16, name: String) {
    self.service = service
    self.kind = kind
    self.port = port
    self.name = name
  }

  /// The most of one share: as many as a relay grants by itself (`PublicLimits`).
  public static let countMax = 16
}

/// Where a relay listens for a service of a share, or is asked to.
public struct PublicAddress: Hashable, Sendable {
  /// The service's name.
  public var service: String
  /// What is taken there.
  public var kind: PublicKind
  /// What visitors call the place: the host name of the share, or what the relay calls itself, empty
  /// where it has not said so.
  public var host: String
  /// 0 before the relay has said so, where no port was asked for.
  public var port: UInt16
  /// The relay's key.
  public var relay: PublicKey

  /// All of it.
  public init(service: String, kind: PublicKind, host: String, port: UInt16, relay: PublicKey) {
    self.service = service
    self.kind = kind
    self.host = host
    self.port = port
    self.relay = relay
  }
}

/// Sharers of one public place who trust each other.
public struct PublicGroup: Sendable {
  /// What they all know, and nobody else; 16 bytes or more.
  public var secret: SecretBytes
  /// How visitors are spread over them. The sharer who came first decides.
  public var balance: Balance

  /// A group.
  public init(secret: SecretBytes, balance: Balance) {
    self.secret = secret
    self.balance = balance
  }

  /// What a relay is shown: of no use at any other relay.
  func proof(for relay: PublicKey) -> [UInt8] {
    Crypto.hmacSHA256(key: secret, Array("qtun public group\0".utf8) + relay.bytes)
  }
}

extension Share.Configuration {
  /// Tells what is shared apart from what else this identity shares, without saying what it is: the
  /// same service started again gets its port back. What a group shares goes by the name of the
  /// service alone, since each of its nodes has another target.
  func label(of service: Service, for wish: PublicWish) -> [UInt8] {
    let what = "\(wish.kind.rawValue) \(service.name)"
    if let publicGroup {
      let message = Array("qtun public label\0\(what)".utf8)
      let proof = Crypto.hmacSHA256(key: publicGroup.secret, message)
      return Array(proof.prefix(PublicRequest.labelCount))
    }
    let secret = identity.deriveSecret(
      "qtun public label", context: "\(what) \(service.target.summary)")
    return secret.withBytes { Array($0.prefix(PublicRequest.labelCount)) }
  }
}

extension Service.Target {
  /// The same for the same target, across starts.
  fileprivate var summary: String {
    switch self {
    case .tcp(let addresses), .udp(let addresses):
      addresses.map(\.description).sorted().joined(separator: " ")
    case .unix(let path), .folder(let path): path
    case .streams: "streams"
    case .dynamic(let rules): rules.description
    }
  }
}
