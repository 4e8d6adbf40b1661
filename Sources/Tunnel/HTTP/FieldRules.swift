/// What field lines may consist of, and which of them belong to one connection.
enum FieldRules {
  /// RFC 9114 §4.2: what HTTP/3 does not know, since streams do its work; names in lower case.
  static let connectionSpecific: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
  ]

  /// A token (RFC 9110 §5.6.2).
  static func isName(_ bytes: some Collection<UInt8>) -> Bool {
    !bytes.isEmpty
      && bytes.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  /// In lower case as far as ASCII goes: Unicode would take a KELVIN SIGN for a k, and a coding that the
  /// next reader does not know for `chunked`.
  static func lowercased(_ text: some StringProtocol) -> String {
    String(decoding: text.utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
  }

  /// RFC 9110 §5.5: no control characters but the tab.
  static func isValue(_ bytes: some Collection<UInt8>) -> Bool {
    bytes.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f }
  }
}
