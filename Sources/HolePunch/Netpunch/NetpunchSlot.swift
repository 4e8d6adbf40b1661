/// The letter that a peer of netpunch goes by: `a` to `z`. `a` meets `b`, `c` meets `d`, and so on.
public struct NetpunchSlot: Hashable, Sendable, CustomStringConvertible {
  /// The letter in ASCII.
  public let letter: UInt8

  /// How many there are.
  public static let count = 26

  /// Nil for anything but `a` to `z`.
  public init?(_ letter: UInt8) {
    guard (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter) else { return nil }
    self.letter = letter
  }

  /// The slot that this one meets.
  public var partner: NetpunchSlot {
    NetpunchSlot(unchecked: UInt8(ascii: "a") + UInt8(index ^ 1))
  }

  /// 0 for `a`.
  var index: Int { Int(letter - UInt8(ascii: "a")) }

  /// The letter.
  public var description: String { String(UnicodeScalar(letter)) }

  private init(unchecked letter: UInt8) {
    self.letter = letter
  }
}
