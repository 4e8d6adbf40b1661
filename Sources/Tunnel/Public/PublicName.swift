/// The names that a relay's HTTP and TLS ports tell shares apart by.
public enum PublicName {
  /// The characters of host names, of addresses, and the star that stands for the rest.
  static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x3a, 0x5b, 0x5d, 0x5f, 0x2a: true
    default: false
    }
  }

  /// A host name in the one form that leases have: lower case, without a last dot. Nil where it is
  /// none (RFC 1123 §2.1, with underscores, which people use).
  public static func canonical(_ text: some StringProtocol) -> String? {
    let bare = text.hasSuffix(".") ? String(text.dropLast()) : String(text)
    guard (1...PublicRequest.nameMax).contains(bare.utf8.count) else { return nil }
    let labels = bare.split(separator: ".", omittingEmptySubsequences: false)
    let isName = labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { byte in
          switch byte {
          case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f: true
          default: false
          }
        }
    }
    // The last label of an IPv4 address is a number, that of a name is not (RFC 3696 §2).
    guard isName, labels.last?.utf8.allSatisfy({ (0x30...0x39).contains($0) }) == false else {
      return nil
    }
    return bare.lowercased()
  }
}

extension PublicName {
  /// Stands for visitors who name nobody; leased like a name where the rules are `*`.
  static let rest = "*"

  /// Whether a lease may have this name, in this form.
  static func isLeasable(_ name: String) -> Bool { name == rest || canonical(name) == name }
}

/// Which names a relay gives out: exact ones, `*.example.com` for those below one, `*` for all.
public struct NameRules: Equatable, Sendable {
  /// As written, in lower case.
  public let patterns: [String]

  /// Every name.
  public static let everything = NameRules(checked: [PublicName.rest])

  /// - Throws: the first pattern that cannot be understood.
  public init(_ texts: [String]) throws(NameRuleError) {
    var patterns: [String] = []
    for text in texts {
      if text == PublicName.rest {
        patterns.append(text)
        continue
      }
      let isWild = text.hasPrefix("*.")
      guard let name = PublicName.canonical(isWild ? String(text.dropFirst(2)) : text) else {
        throw NameRuleError(pattern: text)
      }
      patterns.append(isWild ? "*.\(name)" : name)
    }
    self.init(checked: patterns)
  }

  private init(checked patterns: [String]) {
    self.patterns = patterns
  }

  /// Whether a canonical name may be leased. A star stands for one label or several.
  func permit(_ name: String) -> Bool {
    patterns.contains { pattern in
      if pattern == PublicName.rest { return true }
      return pattern.hasPrefix("*.") ? name.hasSuffix(pattern.dropFirst()) : name == pattern
    }
  }
}

/// A pattern that is no name.
public struct NameRuleError: Error, Equatable, Sendable {
  /// As written.
  public let pattern: String
}
