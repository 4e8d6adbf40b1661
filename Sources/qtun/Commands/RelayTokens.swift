internal import QuicTransport
internal import Tunnel

extension [RelayTokenSource] {
  /// The tokens, each of which is for one of the relays.
  func read(for relays: [RendezvousAddress]) throws(Failure) -> [RelayToken] {
    var tokens: [RelayToken] = []
    for source in self {
      for token in try source.read() {
        guard relays.contains(where: { token.isFor($0.key) }) else {
          throw Failure(
            .configuration, "the token in \(source.place) is for another relay",
            fix: "give the one of the relay that --rendezvous names")
        }
        tokens.append(token)
      }
    }
    return tokens
  }
}

extension RelayTokenSource {
  fileprivate var place: String {
    switch self {
    case .file(let path): path
    case .environment: "QTUN_RELAY_TOKEN"
    }
  }

  fileprivate func read() throws(Failure) -> [RelayToken] {
    let words: [Substring]
    switch self {
    case .file(let path):
      do throws(SecretLineError) {
        words = try SecretLine.read(path: path).split { $0.isWhitespace }
      } catch {
        throw Failure(error, path: path)
      }
    case .environment(let text): words = text.split { $0.isWhitespace }
    }
    guard !words.isEmpty else {
      throw Failure(
        .configuration, "there is no token in \(place)",
        fix: "put the line there that `qtun token add` printed")
    }
    var tokens: [RelayToken] = []
    for word in words {
      // The word itself is not shown: it may be a secret with a slip in it.
      guard let token = RelayToken(word) else {
        throw Failure(
          .configuration, "what stands in \(place) is not a token of a relay",
          fix: "copy the whole line that `qtun token add` printed; it begins with "
            + RelayToken.prefix)
      }
      tokens.append(token)
    }
    return tokens
  }
}
