/// What a program says to a proxy until its request is known: SOCKS5 (RFC 1928, RFC 1929), SOCKS4
/// and 4a, or HTTP (RFC 9110 §9.3.6, RFC 9112 §3.2.2), told apart by the first byte. Sans-I/O.
struct ProxyParser {
  private let credentials: ProxyCredentials?
  private var buffer: [UInt8] = []
  private var state = State.first

  private enum State {
    case first
    case socks5(SocksParser.Stage)
    case socks4
    case http
    case over
  }

  /// What the bytes so far amount to.
  enum Step: Equatable {
    case needsMore
    /// Send this and go on.
    case reply([UInt8])
    /// The request; whatever follows it belongs to the destination.
    case request(ProxyRequest)
    /// Relay UDP datagrams for it, from this port of its own; 0 for one that it does not know yet
    /// (RFC 1928 §7).
    case associate(port: UInt16)
    /// Send this and close.
    case refuse([UInt8])
  }

  /// - Parameter credentials: what programs must show; nil lets everybody in.
  init(credentials: ProxyCredentials?) {
    self.credentials = credentials
  }

  mutating func append(_ bytes: some Sequence<UInt8>) {
    buffer.append(contentsOf: bytes)
  }

  /// The next step. Call it until it needs more or is over; the buffer is then bounded by the
  /// longest request.
  mutating func next() -> Step {
    let step = read()
    switch step {
    case .request, .associate, .refuse: state = .over
    case .needsMore, .reply: break
    }
    return step
  }

  private mutating func read() -> Step {
    switch state {
    case .first:
      guard let first = buffer.first else { return .needsMore }
      switch first {
      case 5: state = .socks5(.greeting)
      case 4: state = .socks4
      // A method of HTTP: anything else gets no answer in a language that it may not speak.
      case 0x41...0x5a: state = .http
      default: return .refuse([])
      }
      return read()
    case .socks5(let stage):
      let (step, stage) = SocksParser.read5(&buffer, stage: stage, credentials: credentials)
      state = .socks5(stage)
      return step
    case .socks4: return SocksParser.read4(&buffer, credentials: credentials)
    case .http: return HTTPProxyParser.read(&buffer, credentials: credentials)
    case .over: return .needsMore
    }
  }
}

/// What a program asks of a proxy.
struct ProxyRequest: Equatable {
  var destination: Destination
  var dialect: ProxyDialect
  /// For the destination: what was sent after the request, or the request itself, rewritten.
  var early: [UInt8]
}
