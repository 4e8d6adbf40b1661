/// Finds the texts of elements in an XML document that a router made: tolerant, without a tree, and
/// in time proportional to the input.
///
/// It knows nothing of validity. Routers send documents that no parser accepts, and all that is
/// wanted are a few short texts.
struct XMLScanner {
  /// An element as it begins, with the text up to the next tag.
  struct Element: Equatable {
    /// Without its namespace prefix.
    var name: String
    /// Trimmed; the five predefined entities are replaced.
    var text: String
  }

  private var rest: ArraySlice<UInt8>
  private var left = Self.elementsMax

  init(_ document: [UInt8]) {
    rest = document[...]
  }

  /// The next element, or nil at the end or after too many.
  mutating func next() -> Element? {
    while let start = rest.firstIndex(of: UInt8(ascii: "<")) {
      rest = rest[start...].dropFirst()
      if skipSpecial() { continue }
      guard let end = rest.firstIndex(of: UInt8(ascii: ">")) else { break }
      let tag = rest[..<end]
      rest = rest[end...].dropFirst()
      guard let first = tag.first, first != UInt8(ascii: "/"), first != UInt8(ascii: "?"),
        first != UInt8(ascii: "!")
      else { continue }
      guard left > 0 else { break }
      left -= 1
      return Element(name: Self.localName(tag), text: takeText())
    }
    rest = []
    return nil
  }

  /// The text of the first element of that name.
  static func text(of name: String, in document: [UInt8]) -> String? {
    var scanner = XMLScanner(document)
    while let element = scanner.next() {
      if element.name == name { return element.text }
    }
    return nil
  }

  /// A device with everything that the specification knows has some 300.
  private static let elementsMax = 2_000
  /// URLs and types are shorter; what is longer is cut.
  private static let textMax = 512
}

// MARK: - Internals

extension XMLScanner {
  /// Comments may hold tags that do not count.
  private mutating func skipSpecial() -> Bool {
    guard rest.starts(with: Array("!--".utf8)) else { return false }
    let end = Array("-->".utf8)
    var body = rest.dropFirst(3)
    while let hyphen = body.firstIndex(of: end[0]) {
      body = body[hyphen...]
      if body.starts(with: end) {
        rest = body.dropFirst(end.count)
        return true
      }
      body = body.dropFirst()
    }
    rest = []
    return true
  }

  private static func localName(_ tag: ArraySlice<UInt8>) -> String {
    let name = tag.prefix { $0 > 0x20 && $0 != UInt8(ascii: "/") }
    let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name
    return String(decoding: local.prefix(textMax), as: UTF8.self)
  }

  private mutating func takeText() -> String {
    let end = rest.firstIndex(of: UInt8(ascii: "<")) ?? rest.endIndex
    var raw = rest[..<end]
    rest = rest[end...]
    while let byte = raw.first, byte <= 0x20 { raw = raw.dropFirst() }
    while let byte = raw.last, byte <= 0x20 { raw = raw.dropLast() }
    return Self.withoutEntities(raw.prefix(Self.textMax))
  }

  private static func withoutEntities(_ raw: ArraySlice<UInt8>) -> String {
    var bytes: [UInt8] = []
    var raw = raw
    while let byte = raw.popFirst() {
      if byte == UInt8(ascii: "&"), let end = raw.firstIndex(of: UInt8(ascii: ";")),
        let character = entities[String(decoding: raw[..<end], as: UTF8.self)]
      {
        bytes.append(character)
        raw = raw[(end + 1)...]
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static let entities: [String: UInt8] = [
    "amp": UInt8(ascii: "&"), "lt": UInt8(ascii: "<"), "gt": UInt8(ascii: ">"),
    "quot": UInt8(ascii: "\""), "apos": UInt8(ascii: "'"),
  ]
}
