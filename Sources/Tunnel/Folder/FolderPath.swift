/// The path of a request (RFC 3986 §3.3) as one below a shared folder.
///
/// The kernel keeps it beneath the folder; this keeps out what nobody means: hidden files, and names
/// that two readers could take for different ones.
struct FolderPath: Equatable {
  /// The names on the way, none of them empty, hidden or with a slash in it.
  let names: [String]
  /// Whether the path ends with a slash, as those of folders do.
  let isFolder: Bool

  /// nil for a target that is no origin form, and for one that leads to nothing that is served:
  /// `.`, `..` and hidden names, a slash, a backslash or a zero byte in a name, wrong escapes.
  init?(target: String) {
    guard target.utf8.first == UInt8(ascii: "/") else { return nil }
    let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
    var names: [String] = []
    for part in path.split(separator: UInt8(ascii: "/")) {
      guard let bytes = Self.unescaped(part), bytes.first != UInt8(ascii: "."),
        bytes.count <= Self.nameMax, let name = String(validating: bytes, as: UTF8.self)
      else { return nil }
      names.append(name)
    }
    guard names.count <= Self.depthMax else { return nil }
    self.names = names
    isFolder = path.last == UInt8(ascii: "/")
  }

  /// For openat2(2).
  var relative: String { names.isEmpty ? "." : names.joined(separator: "/") }

  /// As a URL path, with the final slash of a folder.
  var folderURL: String {
    names.isEmpty ? "/" : "/\(names.map(Self.escaped).joined(separator: "/"))/"
  }

  /// RFC 3986 §2.1; nil for half an escape and for bytes that no file name should have.
  private static func unescaped(_ text: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = Array(text)[...]
    while let byte = rest.popFirst() {
      var byte = byte
      if byte == UInt8(ascii: "%") {
        guard rest.count >= 2, let high = digit(rest.removeFirst()),
          let low = digit(rest.removeFirst())
        else { return nil }
        byte = high << 4 | low
      }
      guard byte >= 0x20, byte != 0x7f, byte != UInt8(ascii: "/"), byte != UInt8(ascii: "\\")
      else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }

  /// A name as part of a URL: everything but unreserved characters is escaped.
  static func escaped(_ name: String) -> String {
    var text = ""
    for byte in name.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        text += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
      }
    }
    return text
  }

  /// NAME_MAX of Linux.
  private static let nameMax = 255
  /// Deeper trees than this are no sites.
  private static let depthMax = 64
}
