internal import Tunnel

extension CommandLineParser {
  /// What a share says of its rendezvous.
  mutating func meetingSettings() -> MeetingSettings {
    var settings = MeetingSettings(
      rendezvous: values(of: Grammar.rendezvous), stun: values(of: Grammar.stun),
      hidesAddresses: count(Grammar.noAddresses) > 0)
    settings.path = value(of: Grammar.sharePath) ?? .automatic
    settings.mapsPort = count(Grammar.noPortMapping) == 0
    checkCount(of: settings.rendezvous)
    if settings.rendezvous.isEmpty {
      if settings.path == .relay {
        complaints.append(
          Complaint(
            cause: "--path relay leaves peers no way to come",
            fix: "add --rendezvous, or leave it out"
          ))
      }
      if settings.hidesAddresses {
        complaints.append(
          Complaint(
            cause: "--no-addresses leaves peers no way to come",
            fix: "add --rendezvous, or leave it out"))
      }
      if !settings.stun.isEmpty {
        complaints.append(
          Complaint(
            cause: "--stun is of use with --rendezvous only", fix: "add it, or leave --stun out"))
      }
    }
    return settings
  }

  /// What a share shows to relays.
  mutating func relayTokens(_ meeting: MeetingSettings) -> [RelayTokenSource] {
    let files = values(of: Grammar.tokenFile).map { RelayTokenSource.file($0) }
    if !files.isEmpty, meeting.rendezvous.isEmpty {
      complaints.append(
        Complaint(
          cause: "--token-file is of use with --rendezvous only", fix: "add it, or leave it out"))
    }
    guard files.isEmpty, !meeting.rendezvous.isEmpty, let text = environment["QTUN_RELAY_TOKEN"]
    else { return files }
    return [.environment(text)]
  }

  mutating func bindRelay(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    guard let file = keyFile(Grammar.relayIdentity, named: "relay", variable: nil) else {
      return nil
    }
    var limits = RelayLimits()
    for choice in values(of: Grammar.relayLimit) { limits[choice.limit] = choice.value }
    let config = value(of: Grammar.relayConfig).map {
      RelaySettings.Config(file: $0, arguments: arguments, given: givenOptions)
    }
    let listening = publicRelaySettings()
    // What is missing may stand in the file.
    if config == nil, let complaint = listening.complaint { complaints.append(complaint) }
    return .relay(
      RelaySettings(
        listen: value(of: Grammar.relayListen), name: value(of: Grammar.relayName),
        identityFile: file, allowed: values(of: Grammar.relayAllow),
        isOpen: count(Grammar.relayOpen) > 0, limits: limits, admin: value(of: Grammar.relayAdmin),
        drain: value(of: Grammar.relayDrain) ?? RelaySettings.drainDefault,
        cores: value(of: Grammar.relayCores).map { Int($0) }, config: config, listening: listening))
  }

  mutating func bindService(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    let isOfUser = count(Grammar.serviceUser) > 0
    let folder = environment.configurationFolder
    if isOfUser, folder == nil {
      complaints.append(
        Complaint(cause: "--user needs HOME, which is not set", fix: "set it, or leave --user out"))
    }
    let action: ServiceSettings.Action
    switch command.name {
    case "service install": action = .install(replaces: count(Grammar.serviceForce) > 0)
    case "service uninstall": action = .uninstall
    default: action = .status
    }
    return .service(
      ServiceSettings(
        action: action, userFolder: isOfUser ? folder : nil,
        root: value(of: Grammar.serviceRoot) ?? "", config: value(of: Grammar.relayConfig)))
  }

  mutating func bindToken(_ command: CommandSpec) -> Invocation.Action? {
    checkArguments(command.arguments, of: command)
    guard let file = keyFile(Grammar.relayIdentity, named: "relay", variable: nil) else {
      return nil
    }
    switch command.name {
    case "token add":
      let expires = value(of: Grammar.tokenExpires)
      if let expires, expires.time(now: .now()) == nil {
        complaints.append(
          Complaint(cause: "--expires: this time is over", fix: "choose one that is to come"))
      }
      let scope = RelayScope(
        relays: count(Grammar.tokenNoRelay) == 0, ports: values(of: Grammar.tokenPorts),
        names: values(of: Grammar.tokenNames).flatMap(\.patterns),
        bytesPerSecond: value(of: Grammar.tokenRate))
      guard let scope else {
        complaints.append(
          Complaint(
            cause: "there are more than \(RelayScope.entriesMax) ports or names",
            fix: "write ranges and patterns, or make several tokens"))
        return nil
      }
      if !scope.relays, scope.ports.isEmpty, scope.names.isEmpty {
        complaints.append(
          Complaint(
            cause: "--no-relay leaves a token that is for nothing",
            fix: "leave it out, or add --allow-ports or --allow-name"))
      }
      return .token(
        TokenSettings(
          identityFile: file,
          action: .add(scope: scope, expires: expires, label: value(of: Grammar.tokenLabel))))
    case "token list": return .token(TokenSettings(identityFile: file, action: .list))
    default:
      guard let word = words.first?.text else { return nil }
      return .token(TokenSettings(identityFile: file, action: .revoke(word)))
    }
  }
}
