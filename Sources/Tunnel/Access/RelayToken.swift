internal import Glibc
public import QuicTransport

/// A secret that lets its holder use a relay.
///
///     qtunr1 and base32 of: first 16 bytes of the relay's key, 16 random bytes, 4 bytes of checksum
///
/// It names the one relay that it is for, so a node that has several tokens, or that is led to a relay
/// by somebody else's ticket, never gives one to a stranger. It travels inside of TLS, and only once
/// the relay has proved the pinned key.
public struct RelayToken: Sendable {
  /// The beginning of the relay's public key. To make another key with it takes 2^128 attempts.
  private let relay: [UInt8]
  /// What the relay knows the digest of.
  let secret: SecretBytes

  /// A fresh one for the relay with this key.
  public init(relay: PublicKey) {
    self.init(relay: Array(relay.bytes.prefix(Self.relayCount)), secret: .random())
  }

  private init(relay: [UInt8], secret: SecretBytes) {
    self.relay = relay
    self.secret = secret
  }

  /// Reads the form that `text` has; nil for everything else, slips of copying included.
  public init?(_ text: some StringProtocol) {
    guard text.hasPrefix(Self.prefix), text.utf8.count <= Self.textMax,
      var bytes = Base32.decode(text.dropFirst(Self.prefix.count)),
      bytes.count == Self.relayCount + Self.secretCount + Self.checksumCount
    else { return nil }
    defer { explicit_bzero(&bytes, bytes.count) }
    let content = bytes.dropLast(Self.checksumCount)
    guard bytes.suffix(Self.checksumCount).elementsEqual(Self.checksum(of: content)) else {
      return nil
    }
    self.init(
      relay: Array(content.prefix(Self.relayCount)),
      secret: SecretBytes(content.suffix(Self.secretCount)))
  }

  /// Whether it is for the relay with this key.
  public func isFor(_ key: PublicKey) -> Bool {
    key.bytes.prefix(Self.relayCount).elementsEqual(relay)
  }

  /// What is given to its holder: 64 letters and digits.
  public var text: String {
    let content = secret.withBytes { relay + Array($0) }
    return Self.prefix + Base32.encode(content + Self.checksum(of: content))
  }

  /// What the relay keeps of it.
  ///
  /// One round of SHA-256 is enough: of 128 random bits nothing can be guessed, however fast each
  /// guess is, and a slow hash would hand strangers a lever to keep the relay busy with.
  public var digest: [UInt8] { secret.withBytes { Self.digest(of: $0) } }

  static func digest(of secret: some Sequence<UInt8>) -> [UInt8] { Crypto.sha256(Array(secret)) }

  private static func checksum(of content: some Sequence<UInt8>) -> [UInt8] {
    Array(Crypto.sha256(label + content).prefix(checksumCount))
  }

  /// What each begins with.
  public static let prefix = "qtunr1"
  private static let label = Array("qtun relay token".utf8)
  private static let relayCount = 16
  static let secretCount = 16
  private static let checksumCount = 4
  /// Longer words are something else.
  private static let textMax = 80
}

extension SecretBytes {
  /// As many random bytes as a token's secret has.
  fileprivate static func random() -> SecretBytes {
    SecretBytes(Crypto.random(RelayToken.secretCount))
  }
}

/// The name of a token: the beginning of its digest; no secret.
public struct RelayTokenID: Hashable, Sendable, CustomStringConvertible {
  /// Eight letters and digits of lower-case base32.
  public let description: String

  init(digest: [UInt8]) {
    description = Base32.encode(Array(digest.prefix(5)))
  }
}
