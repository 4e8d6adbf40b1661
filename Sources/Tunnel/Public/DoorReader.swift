/// Reads the first bytes of a visitor of a shared port until they say whom it wants.
struct DoorReader {
  private let kind: DoorKind
  private var host = HostReader()
  private var serverName = ServerNameReader()
  private var bytesRead = 0

  init(kind: DoorKind) {
    self.kind = kind
  }

  /// - Parameter bytes: all that came so far; more each time, `PublicDoor.bytesMax` at most.
  mutating func read(_ bytes: [UInt8]) -> DoorVerdict {
    defer { bytesRead = bytes.count }
    switch kind {
    case .http: return judge(host.read(bytes))
    case .tls: return judge(bytes[bytesRead...].withUnsafeBytes { serverName.read($0) })
    }
  }

  /// What a visitor hears who says too little for too long.
  ///
  /// - Parameter bytes: all that came.
  func lastWords(after bytes: [UInt8]) -> [UInt8] {
    kind == .http && !bytes.isEmpty ? PublicAnswer.tooSlow : []
  }

  private func judge(_ result: HostReader.Result) -> DoorVerdict {
    switch result {
    case .needsMore: .needsMore
    case .request(_, let host): .name(PublicName.canonical(host) ?? PublicName.rest, host: host)
    case .refused(.malformed(let reason)): .refuse(PublicAnswer.malformed(reason))
    case .refused(.tooLarge): .refuse(PublicAnswer.tooLarge)
    case .refused(.http2): .refuse(PublicAnswer.http11Required)
    }
  }

  private func judge(_ result: ServerNameReader.Result) -> DoorVerdict {
    switch result {
    case .needsMore: .needsMore
    case .name(let name): .name(PublicName.canonical(name) ?? PublicName.rest, host: name)
    case .noName: .name(PublicName.rest, host: "")
    case .notTLS: .refuse([])
    }
  }
}
