internal import QuicTransport
internal import Tunnel

extension SessionSettings {
  /// The same for the library.
  var tunnel: Tunnel.SessionSettings {
    Tunnel.SessionSettings(
      idleTimeout: idleTimeout, udpTimeout: udpTimeout,
      congestionControl: congestion == .bbr ? .bbr : .cubic, allowsKeyLog: keylogFile != nil)
  }

  /// Reads the key file, or makes it; says so when it is new.
  func loadIdentity(console: Console, global: GlobalSettings) throws(Failure) -> Identity {
    do throws(IdentityFileError) {
      let (identity, isNew) = try IdentityFile.loadOrCreate(path: identityFile)
      if isNew, !global.isQuiet, global.logFormat == .text {
        console.printLine("made a new identity in \(TerminalText.escaped(identityFile))")
      }
      return identity
    } catch {
      throw Failure(error, path: identityFile)
    }
  }
}

extension NamedPlace {
  /// The service to share, its host looked up. Blocks while it asks.
  func resolve(proxyProtocol: ProxyProtocol?) throws(Failure) -> Service {
    let name = name ?? ""
    var service: Service
    switch place {
    case .tcp(let address):
      service = Service(name: name, target: .tcp(try address.resolve()))
      service.proxyProtocol = proxyProtocol
    case .udp(let address): service = Service(name: name, target: .udp(try address.resolve()))
    case .unix(let path):
      service = Service(name: name, target: .unix(path: path))
      service.proxyProtocol = proxyProtocol
    case .folder(let path): service = Service(name: name, target: .folder(path: path))
    case .dynamic(let rules): service = Service(name: name, target: .dynamic(rules))
    }
    return service
  }

  /// Where to open which service.
  func choice() throws(Failure) -> Opening.Choice {
    switch place {
    case .tcp(let address):
      Opening.Choice(name: name, address: .tcp(try address.localAddress()), use: .service)
    case .udp(let address):
      Opening.Choice(name: name, address: .udp(try address.localAddress()), use: .service)
    case .unix(let path): Opening.Choice(name: name, address: .unix(path: path), use: .service)
    case .folder, .dynamic: preconditionFailure("the parser takes these for shares only")
    }
  }
}

extension HostPort {
  /// The addresses behind it, at most as many as are worth trying. Blocks while it asks.
  func resolve() throws(Failure) -> [SocketAddress] {
    do throws(ResolveError) {
      return try HostResolver.resolve(host.text, port: port, count: 8)
    } catch {
      throw Failure(
        .configuration, "cannot find the host \(error.host): \(error.reason)",
        fix: "check the name, or write the address itself")
    }
  }

  /// The address to listen on; names of this machine were turned into addresses by the parser.
  func localAddress() throws(Failure) -> SocketAddress {
    guard let address = SocketAddress(host.text, port: port) else {
      throw Failure(
        .configuration, "\(self) is not an address to listen on", fix: "write it like 127.0.0.1:80")
    }
    return address
  }
}

extension CarrierChoice {
  /// The same for the library.
  var policy: CarrierPolicy {
    switch self {
    case .auto, .relay: .automatic
    case .udp: .only(.udp)
    case .tcp: .only(.tcp)
    case .ws: .only(.webSocket)
    }
  }
}

extension ProxyChoice {
  /// The same for the library, with its host looked up and its word on the command line hidden, for
  /// it may hold a password. Blocks while it asks.
  func resolve() throws(Failure) -> HTTPProxy? {
    guard case .http(let place, let credentials) = url else { return nil }
    if credentials != nil, let word { ProcessArguments.hide(word) }
    return HTTPProxy(
      addresses: try place.resolve(), credentials: credentials.map { SecretBytes(Array($0.utf8)) },
      exceptions: exceptions)
  }
}

extension RetryChoice? {
  /// The same for the library.
  var policy: RetryPolicy {
    switch self {
    case nil: .afterLoss
    case .never: .never
    case .forever: .always
    case .times(let count): RetryPolicy(attemptsMax: count, includesFirst: true)
    }
  }
}

extension RendezvousName {
  /// The same with its addresses. Blocks while it asks.
  func resolve() throws(Failure) -> RendezvousAddress {
    RendezvousAddress(key: key, addresses: try address.resolve())
  }
}
