internal import Tunnel

/// The binding of what is about public addresses.
extension CommandLineParser {
  /// What a share says about them.
  mutating func publicSettings(
    for services: [NamedPlace], _ meeting: MeetingSettings
  ) -> PublicShareSettings {
    var settings = PublicShareSettings()
    settings.groupFile = value(of: Grammar.group)
    settings.balance = value(of: Grammar.balance) ?? .roundRobin
    settings.hidesQRCode = count(Grammar.noQR) > 0
    settings.health = value(of: Grammar.health)
    guard count(of: Grammar.publicly.spec) > 0 else {
      for spec in [
        Grammar.group.spec, Grammar.balance.spec, Grammar.noQR.spec, Grammar.health.spec,
      ]
      where count(of: spec) > 0 {
        complaints.append(
          Complaint(
            cause: "--\(spec.long) is of use with --public only", fix: "add it, or leave it out"))
      }
      return settings
    }
    if settings.groupFile == nil, count(of: Grammar.balance.spec) > 0 {
      complaints.append(
        Complaint(cause: "--balance is of use with --group only", fix: "add it, or leave it out"))
    }
    if meeting.rendezvous.isEmpty {
      complaints.append(
        Complaint(
          cause: "--public needs a relay to listen at",
          fix: "add --rendezvous with the line that `qtun relay --ports ...` printed"))
    }
    let choices = values(of: Grammar.publicly)
    var chosen = choices.compactMap { wish($0, among: services) }
    if count(of: Grammar.publicly.spec) > choices.count {
      // Alone it stands for all that are not named.
      for service in services where !chosen.contains(where: { $0.service == service.name ?? "" }) {
        note(PublicChoice(service: nil, place: .port(0)).wish(for: service), in: &chosen)
      }
    }
    if chosen.count > PublicWish.countMax {
      complaints.append(
        Complaint(
          cause: "--public stands for \(chosen.count) addresses",
          fix: "ask for \(PublicWish.countMax) at most"))
    }
    if settings.health != nil, !chosen.isEmpty, chosen.allSatisfy({ $0.kind == .udp }) {
      complaints.append(
        Complaint(
          cause: "--health cannot ask a UDP service: only a program's own question could tell",
          fix: "leave it out"))
    }
    settings.wishes = chosen
    return settings
  }

  private mutating func wish(_ choice: PublicChoice, among services: [NamedPlace]) -> PublicWish? {
    let matching = services.filter { choice.service == nil || $0.name == choice.service }
    guard matching.count == 1 else {
      complaints.append(
        choice.service.map {
          Complaint(
            cause: "--public names the service \($0), which is not shared",
            fix: "write the name of a service that is")
        }
          ?? Complaint(
            cause: "--public does not say which of \(matching.count) services it is about",
            fix: "write the service in front, such as --public web=8080"))
      return nil
    }
    var found: [PublicWish] = []
    note(choice.wish(for: matching[0]), in: &found)
    return found.first
  }

  private mutating func note(
    _ wish: Result<PublicWish, ValueProblem>, in wishes: inout [PublicWish]
  ) {
    switch wish {
    case .success(let wish): wishes.append(wish)
    case .failure(let problem):
      complaints.append(Complaint(cause: "--public: \(problem.cause)", fix: problem.fix))
    }
  }

  /// What a relay says about them.
  mutating func publicRelaySettings() -> PublicRelaySettings {
    var settings = PublicRelaySettings()
    settings.ports = value(of: Grammar.publicPorts)
    settings.http = value(of: Grammar.publicHTTP)
    settings.tls = value(of: Grammar.publicTLS)
    settings.certificate = certificateFiles()
    settings.names = values(of: Grammar.publicNames)
    settings.stateFolder = value(of: Grammar.relayState)
    return settings
  }

  private mutating func certificateFiles() -> CertificateFiles? {
    let key = value(of: Grammar.certificateKey)
    guard let certificate = value(of: Grammar.certificate) else {
      if key != nil {
        complaints.append(
          Complaint(
            cause: "--certificate-key is of use with --certificate only",
            fix: "add it, or leave it out"))
      }
      return nil
    }
    return CertificateFiles(certificate: certificate, key: key ?? certificate)
  }
}
