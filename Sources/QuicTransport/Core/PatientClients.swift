/// Tells clients that ask a second time from addresses that somebody forges.
///
/// Under a flood of forged Initials there are far fewer answers than questions, and an honest client
/// would have to be lucky. But it repeats its Initial from the same address and port (RFC 9002 §6.2),
/// while a forged address comes up again only if the flooder takes the trouble to remember it. So
/// whoever asks again after a while is answered before all others.
///
/// What is remembered is a few bits for each question, in Bloom filters for slices of time: 384 KiB,
/// however many ask.
struct PatientClients {
  /// The newest slice first; empty until somebody asks.
  private var slices: [[UInt64]] = []
  private var newest: UInt64 = 0

  /// Notes that `remote` asks; whether it did so before, a slice or more ago but not too long.
  mutating func asksAgain(_ remote: SocketAddress, now: Instant) -> Bool {
    move(to: now.nanoseconds / Self.sliceNanoseconds)
    var hasher = Hasher()
    hasher.combine(remote)
    let hash = UInt(bitPattern: hasher.finalize())
    let isKnown = slices.dropFirst().contains { Self.has(hash, in: $0) }
    Self.forEachBit(of: hash) { slices[0][$0 >> 6] |= 1 << UInt64($0 & 63) }
    return isKnown
  }

  private mutating func move(to slice: UInt64) {
    if slices.isEmpty {
      let empty = [UInt64](repeating: 0, count: Self.bitCount / 64)
      slices = Array(repeating: empty, count: Self.count)
      newest = slice
    }
    guard slice > newest else { return }
    for _ in 0..<min(slice - newest, UInt64(Self.count)) {
      var oldest = slices.removeLast()
      for index in oldest.indices { oldest[index] = 0 }
      slices.insert(oldest, at: 0)
    }
    newest = slice
  }

  private static func has(_ hash: UInt, in slice: [UInt64]) -> Bool {
    var hasAll = true
    forEachBit(of: hash) { hasAll = hasAll && slice[$0 >> 6] & 1 << UInt64($0 & 63) != 0 }
    return hasAll
  }

  /// Four positions from the two halves of a hash (Kirsch and Mitzenmacher, 2006).
  private static func forEachBit(of hash: UInt, _ body: (Int) -> Void) {
    let (start, step) = (hash & 0xffff_ffff, hash >> 32 | 1)
    for number in 0..<UInt(4) {
      body(Int((start &+ number &* step) & UInt(bitCount - 1)))
    }
  }

  /// A slice is shorter than the time after which a client repeats its first Initial: 300 ms with the
  /// RTT that qtun assumes, a second with that of RFC 9002.
  private static let sliceNanoseconds: UInt64 = 250_000_000
  /// So many are remembered: a second and a quarter, and what has passed of the newest.
  private static let count = 6
  /// Of a slice, 64 KiB. Of 20,000 questions a second, one in 100,000 is mistaken for a patient one;
  /// of five times as many, one in 200.
  private static let bitCount = 1 << 19
}
