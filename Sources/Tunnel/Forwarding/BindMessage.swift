internal import QuicTransport

/// How a leg of a relayed session moves to another address, in one round trip.
///
///     node                              relay
///      | -- bind, next generation -----> |   the tag shows whose leg it is
///      | <----- challenge, cookie ------ |   made from the source address; nothing is kept
///      | -- answer, cookie ------------> |   whoever answers hears what is sent there
///      | -- data, next generation -----> |
///      | <----------- bound ------------ |
///
///     header (12), cookie (16, zero where there is none), tag (16): 44 bytes
///
/// All have the same size, so that no answer is larger than its question. The tag is HMAC-SHA-256
/// under the leg's key over all before it, cut to 16 bytes.
struct BindMessage: Equatable {
  var header: RelayHeader
  var cookie: [UInt8]

  static let byteCount = RelayHeader.byteCount + cookieCount + tagCount
  static let cookieCount = 16
  static let noCookie = [UInt8](repeating: 0, count: cookieCount)
  private static let tagCount = 16

  init(kind: RelayHeader.Kind, session: UInt32, generation: UInt32, cookie: [UInt8] = noCookie) {
    precondition(cookie.count == Self.cookieCount)
    header = RelayHeader(kind: kind, sequence: 0, session: session, generation: generation)
    self.cookie = cookie
  }

  /// Checks the tag first, in constant time; nil for anything that its sender did not make.
  init?(_ bytes: UnsafeRawBufferPointer, key: SecretBytes) {
    guard bytes.count == Self.byteCount, let header = RelayHeader(bytes) else { return nil }
    let content = Array(bytes.dropLast(Self.tagCount))
    let tag = SecretBytes(Crypto.hmacSHA256(key: key, content).prefix(Self.tagCount))
    guard tag.matches(UnsafeRawBufferPointer(rebasing: bytes.suffix(Self.tagCount))) else {
      return nil
    }
    self.header = header
    cookie = Array(content.suffix(Self.cookieCount))
  }

  func encoded(key: SecretBytes) -> [UInt8] {
    let content = header.encoded + cookie
    return content + Crypto.hmacSHA256(key: key, content).prefix(Self.tagCount)
  }
}

/// What a relay asks a new address to repeat: made from the address, so that nothing is kept for it.
struct BindCookies {
  private let key: SecretBytes

  /// - Parameter key: of the relay alone.
  init(key: SecretBytes) {
    self.key = key
  }

  func make(
    for path: NetworkPath, session: UInt32, generation: UInt32, now: Instant
  ) -> [UInt8] {
    make(path, session, generation, epoch: now.nanoseconds / Self.epochNanoseconds)
  }

  /// Whether `cookie` was made for this address, within the last two to four minutes.
  func matches(
    _ cookie: [UInt8], for path: NetworkPath, session: UInt32, generation: UInt32, now: Instant
  ) -> Bool {
    let epoch = now.nanoseconds / Self.epochNanoseconds
    return [epoch, epoch &- 1].contains { epoch in
      let own = SecretBytes(make(path, session, generation, epoch: epoch))
      return cookie.withUnsafeBytes { own.matches($0) }
    }
  }

  private func make(
    _ path: NetworkPath, _ session: UInt32, _ generation: UInt32, epoch: UInt64
  ) -> [UInt8] {
    var writer = WireWriter()
    writer.uint64(UInt64(session) << 32 | UInt64(generation))
    writer.uint64(epoch)
    for address in [path.local, path.remote] {
      writer.uint64(address.high)
      writer.uint64(address.low)
      writer.uint16(address.port)
    }
    return Array(
      Crypto.hmacSHA256(key: key, writer.bytes).prefix(BindMessage.cookieCount))
  }

  /// Two minutes: long for an answer, short for a cookie that was seen by others.
  private static let epochNanoseconds: UInt64 = 120_000_000_000
}
