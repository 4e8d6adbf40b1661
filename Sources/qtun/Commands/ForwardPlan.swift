internal import QuicTransport
internal import Tunnel

/// What `qtun to` opens, as the library wants it, and how it tells of it.
struct ForwardPlan: Sendable {
  private let local: [LocalForward]
  private let remote: [RemoteForward]
  /// What to open on this side.
  let opening: Opening
  /// What to ask of the sharing side.
  let remoteListeners: [RemoteListener]

  /// Looks the targets of `-R` up. Blocks while it asks.
  init(
    local: [LocalForward], proxies: [HostPort], remote: [RemoteForward],
    proxyProtocol: ProxyProtocol?
  ) throws(Failure) {
    self.local = local
    self.remote = remote
    var choices: [Opening.Choice] = []
    for forward in local { choices.append(try forward.choice()) }
    for proxy in proxies {
      choices.append(
        Opening.Choice(name: nil, address: .tcp(try proxy.localAddress()), use: .proxy))
    }
    opening = .chosen(choices)
    var listeners: [RemoteListener] = []
    for forward in remote {
      var listener = RemoteListener(
        address: try forward.address.localAddress(), target: try forward.place.remoteTarget())
      listener.proxyProtocol = proxyProtocol
      listeners.append(listener)
    }
    remoteListeners = listeners
  }

  /// Prints a line for each, in the order of the options: option, address, where it leads.
  ///
  /// - Parameters:
  ///   - opened: what was opened here, in the order of `opening`.
  ///   - addresses: those of the sharing side, in the order of `remoteListeners`.
  func announce(
    _ opened: [OpenedService], _ addresses: [SocketAddress], _ settings: GlobalSettings
  ) throws(Failure) {
    for (index, service) in opened.enumerated() {
      let target = index < local.count ? local[index].target.description : "proxy"
      let option = index < local.count ? "-L" : "-D"
      try tell(option, service.address.description, target, service: service.name, settings)
    }
    for (forward, address) in zip(remote, addresses) {
      try tell("-R", address.description, forward.place.description, service: nil, settings)
    }
  }

  private func tell(
    _ option: String, _ address: String, _ target: String, service: String?,
    _ settings: GlobalSettings
  ) throws(Failure) {
    guard settings.isJSON else {
      return try StandardOutput.writeLine(TerminalText.escaped("\(option) \(address) \(target)"))
    }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "listening")
      result.member("option", option)
      result.member("address", address)
      result.member("target", target)
      result.member("service", service)
    }
    try StandardOutput.writeLine(writer.text)
  }
}

extension LocalForward {
  fileprivate func choice() throws(Failure) -> Opening.Choice {
    let name: String?
    let use: Opening.Use
    switch target {
    case .destination(let destination): (name, use) = (nil, .forward(to: destination))
    case .service(let service): (name, use) = (service, .service)
    }
    return Opening.Choice(name: name, address: try place.localAddress(), use: use)
  }
}

extension Place {
  fileprivate func localAddress() throws(Failure) -> LocalAddress {
    switch self {
    case .tcp(let address): .tcp(try address.localAddress())
    case .unix(let path): .unix(path: path)
    case .udp, .folder, .dynamic: preconditionFailure("no forward is written like that")
    }
  }

  fileprivate func remoteTarget() throws(Failure) -> RemoteListener.Target {
    switch self {
    case .tcp(let address): .tcp(try address.resolve())
    case .unix(let path): .unix(path: path)
    case .udp, .folder, .dynamic: preconditionFailure("no forward is written like that")
    }
  }
}
