/// What a shared port speaks, and so how its visitors say whom they want.
enum DoorKind: Equatable {
  /// HTTP/1.x: by the host of the first request.
  case http
  /// TLS: by the server name of the ClientHello.
  case tls

  /// The kind of lease that its names are of.
  var kind: PublicKind { self == .http ? .http : .tls }

  /// The last words to a visitor whose flow came to nothing; empty for a reset.
  ///
  /// - Parameter name: whom the visitor wanted; empty where it did not say.
  func farewell(_ failure: DoorFailure, name: String) -> [UInt8] {
    switch (self, failure) {
    case (.http, .nobody):
      PublicAnswer.unknown(name == PublicName.rest || name.isEmpty ? "this address" : name)
    case (.http, .refused): PublicAnswer.refused
    case (.http, .died): PublicAnswer.away
    case (.http, .tooMany): PublicAnswer.tooMany
    case (.http, .unhealthy): PublicAnswer.unhealthy
    case (.tls, .nobody): ServerNameReader.unrecognizedName
    // TLS has no word for it that a client would read as "try again".
    case (.tls, .refused), (.tls, .died), (.tls, .tooMany), (.tls, .unhealthy): []
    }
  }
}

/// What the first bytes of a visitor amount to.
enum DoorVerdict: Equatable {
  /// Nothing yet.
  case needsMore
  /// The host that it wants, as it is leased (`PublicName.canonical`), and as the visitor means it, which
  /// may be an address; the bytes go on to the share that holds it. The name is `*` where it has none:
  /// for the share that holds that, or nobody.
  case name(String, host: String)
  /// No share; the visitor hears these words, or a reset if there are none.
  case refuse([UInt8])
}

/// Why a visitor who named somebody is not served.
enum DoorFailure: Equatable {
  /// Nobody holds the name.
  case nobody
  /// Whoever holds it did not take the connection: nothing listens at the target, or no answer came.
  case refused
  /// As many visitors as the relay takes.
  case tooMany
  /// Everybody who holds it says that the target fails the health check.
  case unhealthy
  /// The share was lost before it answered with a single byte.
  case died
}
