/// The first line of every connection: what the server shall do on it.
///
/// ```
/// source BYTES KEY   send BYTES bytes of the key's downward sequence, then end
/// sink BYTES KEY     check BYTES bytes of the key's upward sequence, then answer `ok`
/// echo               return everything until the end
/// progress KEY       answer `ACCEPTED PORT` for the running source with this key
/// ```
enum Request: Sendable {
  case source(bytes: Int, key: UInt64)
  case sink(bytes: Int, key: UInt64)
  case echo
  case progress(key: UInt64)

  /// Parses a line as the server receives it.
  init(line: String) throws(LoadError) {
    let words = line.split(separator: " ")
    switch (words.first, words.count) {
    case ("source", 3):
      self = .source(bytes: try Self.bytes(words[1]), key: try Self.key(words[2]))
    case ("sink", 3):
      self = .sink(bytes: try Self.bytes(words[1]), key: try Self.key(words[2]))
    case ("echo", 1): self = .echo
    case ("progress", 2): self = .progress(key: try Self.key(words[1]))
    default: throw .protocolViolation("unknown request")
    }
  }

  /// The line that a client sends.
  var line: String {
    switch self {
    case .source(let bytes, let key): "source \(bytes) \(key)"
    case .sink(let bytes, let key): "sink \(bytes) \(key)"
    case .echo: "echo"
    case .progress(let key): "progress \(key)"
    }
  }

  private static func bytes(_ word: Substring) throws(LoadError) -> Int {
    guard let bytes = Int(word), bytes >= 0 else { throw .protocolViolation("bad byte count") }
    return bytes
  }

  private static func key(_ word: Substring) throws(LoadError) -> UInt64 {
    guard let key = UInt64(word) else { throw .protocolViolation("bad key") }
    return key
  }
}
