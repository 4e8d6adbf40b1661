/// What a shared port speaks, and so how its visitors say whom they want.
enum DoorKind: Equatable {
  case http
  case tls

  /// The kind of lease that its names are of.
  var kind: PublicKind { self == .http ? .http : .tls }

  /// Judges the first bytes of a connection.
  ///
  /// - Parameter bytes: all that came so far, `PublicDoor.bytesMax` at most.
  func judge(_ bytes: [UInt8]) -> DoorVerdict {
    switch self {
    case .http: Self.judgeHTTP(bytes)
    case .tls: .pass
    }
  }

  /// The last words to a visitor whose flow came to nothing; empty for a reset.
  ///
  /// - Parameter name: whom the visitor wanted; empty where it did not say.
  func farewell(_ failure: DoorFailure, name: String) -> [UInt8] {
    []
  }

  private static func judgeHTTP(_ bytes: [UInt8]) -> DoorVerdict {
    switch HTTPHead.read(bytes) {
    case .needsMore: return .needsMore
    case .malformed, .tooLarge: return .refuse([])
    case .head(let head, _):
      let hosts = head.values(of: "host")
      guard hosts.count == 1 else { return .refuse([]) }
      let host = String(decoding: hosts[0].prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
      return PublicName.canonical(host).map { .name($0) } ?? .refuse([])
    }
  }
}

/// What the first bytes of a visitor amount to.
enum DoorVerdict: Equatable {
  /// Nothing yet.
  case needsMore
  /// A canonical name (`PublicName.canonical`); the bytes go on to the share that holds it.
  case name(String)
  /// No share; the visitor hears these words, or a reset if there are none.
  case refuse([UInt8])
  /// What it speaks has no name: for the share that holds the name `*`, or a reset.
  case pass
}

/// Why a visitor who named somebody is not served.
enum DoorFailure: Equatable {
  /// Nobody holds the name.
  case nobody
  /// Whoever holds it did not take the connection: nothing listens at the target, or no answer came.
  case refused
  /// As many visitors as the relay takes.
  case tooMany
  /// The share was lost before it answered with a single byte.
  case died
}
