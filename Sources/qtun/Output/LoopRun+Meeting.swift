internal import HolePunch
internal import QuicTransport
internal import Tunnel

// What happens between this node, its rendezvous and its peers, in the log.
extension LoopRun {
  nonisolated func report(_ event: MeetingEvent) {
    switch event {
    case .rendezvousReady(let rendezvous, let observed):
      log.info(
        "rendezvous answers", .peer(rendezvous.key.description),
        .address(observed?.description ?? "over tcp"))
    case .rendezvousLost(let rendezvous, let reason, let delay):
      log.warning(
        "rendezvous does not answer", .peer(rendezvous.key.description),
        .address(rendezvous.addresses.map(\.description).joined(separator: " ")),
        .cause(reason?.description ?? "no way to it"), .duration(delay))
    case .relayAdmits(let rendezvous, let time, let rate):
      var limits = time == 0 ? "without end" : "until \(Timestamp.text(seconds: time))"
      if rate > 0 { limits += ", \(Format.bytes(rate)) a second" }
      log.info(
        "the relay takes our token", .peer(rendezvous.key.description), .limit(limits))
    case .relayDenies(let rendezvous, .restarting, let delay):
      log.info(
        "the relay is about to stop, trying again", .peer(rendezvous.key.description),
        .duration(delay ?? .zero))
    case .relayDenies(let rendezvous, let denial, _):
      log.warning(
        "the relay refuses us", .peer(rendezvous.key.description),
        .cause(Describe.cause(denial)), .fix(Describe.fix(denial)))
    case .relayRestarts(let rendezvous, let time):
      log.info(
        "the relay restarts", .peer(rendezvous.key.description), .duration(time),
        .cause("direct sessions go on; what crosses it goes by another relay, or waits for it"))
    case .relaysRanked(let relays):
      log.info("relays", .cause(relays.map(Describe.relay).joined(separator: "; ")))
    case .searchThrottled(let rendezvous, let delay):
      log.warning(
        "the relay lets us wait", .peer(rendezvous.key.description), .duration(delay),
        .cause("too many searches, from our address or for this share"))
    case .replaced(let rendezvous):
      log.warning(
        "the rendezvous has newer nodes with our identity", .peer(rendezvous.key.description),
        .fix("give each of many shares an identity of its own with --identity"))
    case .peerAbsent(let peer):
      log.info(
        "the sharing side is not at the rendezvous yet", .peer(peer.description),
        .fix("check that `qtun share` is running there"))
    case .punching(let peer, let mode):
      log.debug("punching", .peer(peer.description), .cause(Describe.mode(mode)))
    case .punched(let peer, let path, let mode):
      log.info(
        "direct path", .address(path.remote.description), .rtt(path.roundTrip),
        .cause(Describe.way(path.kind, mode)), .peer(peer.description))
    case .notRelayed(let peer, let refusal):
      log.warning(
        "the relay does not take us", .peer(peer.description),
        .cause(Describe.refusal(refusal)))
    case .relayThrottles(let peer, let rate):
      log.warning(
        "the relay limits what we send", .peer(peer.description),
        .cause("\(rate) bytes a second, and we have more"))
    case .notDirect(let peer, let failure):
      log.info(
        "no direct path", .peer(peer.description), .cause(Describe.failure(failure)),
        .fix(Describe.advice(failure)))
    case .portMapped(let mapping):
      log.info(
        "the gateway forwards a port", .address(mapping.outside.description),
        .cause(Describe.name(mapping.by)))
    case .portLost: log.info("the gateway forwards no port any more")
    case .fewSockets(let peer, let opened, let wanted):
      log.warning(
        "fewer sockets than a search for ports needs", .peer(peer.description),
        .cause("\(opened) of \(wanted) could be opened"),
        .fix("raise the limit of open files, as by `ulimit -n 4096`, or run fewer sessions at once")
      )
    }
  }
}

extension Describe {
  /// How NATs are got through.
  static func mode(_ mode: PunchMode) -> String {
    switch mode {
    case .plain: "plain probes"
    case .primed: "primed, since both NATs look at ports"
    case .predict: "prediction of a NAT's next ports"
    case .birthday: "search for one of 256 ports"
    case .relay: "none: both NATs are unpredictable"
    case .blocked: "none: UDP is blocked"
    }
  }

  /// What a path came about by.
  static func way(_ kind: Candidate.Kind, _ mode: PunchMode) -> String {
    switch kind {
    case .loopback: "on this machine"
    case .local: "on the local network"
    case .global: "at a public address"
    case .mapped: "by a port that the gateway forwards"
    case .relayed: "by a relay"
    case .reflexive, .peerReflexive, .predicted: "punched: \(self.mode(mode))"
    }
  }

  /// Why a relay moves nothing.
  static func refusal(_ refusal: RelayRefusal) -> String {
    switch refusal {
    case .full: "it has as many sessions as it takes"
    case .identityLimit: "one of the two identities has as many sessions there as it may"
    case .addressLimit: "too many sessions come from the address of one side"
    case .samePath: "both sides come from the same address and port"
    case .other: "for a reason that this version does not know"
    }
  }

  /// A protocol for ports, by its name.
  static func name(_ mapping: NATReport.PortMappingProtocol) -> String {
    switch mapping {
    case .pcp: "PCP"
    case .natPMP: "NAT-PMP"
    case .upnp: "UPnP"
    }
  }

  /// What would help where there is no direct path.
  static func advice(_ failure: PunchFailure) -> String {
    switch failure {
    case .bothNATsUnpredictable:
      "turn on UPnP, NAT-PMP or PCP in the router of one side, or forward a UDP port there and share "
        + "with --listen PORT; `qtun netcheck` tells more of a network"
    case .udpBlocked:
      "let UDP out of the network of that side; `qtun netcheck` on each side tells which one it is"
    case .noCandidates: "check that the peer's machine has a network, and lets UDP pass"
    case .searchRests: "wait; the next search follows within ten minutes"
    case .noAnswer: "check that the firewalls of both sides let UDP out and its answers in"
    }
  }

  /// Why a relay refuses us.
  static func cause(_ denial: RelayDenial) -> String {
    switch denial {
    case .other: "for a reason that this version does not know"
    case .tokenNeeded: "it serves holders of its tokens, and we showed none"
    case .tokenWrong: "our token is none of this relay's"
    case .tokenExpired: "our token has expired"
    case .tokenRevoked: "our token was revoked"
    case .identityNotAllowed: "our identity is not on its list"
    case .undecidable: "it cannot look up who may use it now"
    case .notInScope: "our token is not for being found here"
    case .restarting: "it is about to stop"
    }
  }

  /// What to do about it.
  static func fix(_ denial: RelayDenial) -> String {
    switch denial {
    case .other: "use the version of qtun that the relay has"
    case .tokenNeeded:
      "ask its operator for a token (`qtun token add`), and give it by --token-file or "
        + "QTUN_RELAY_TOKEN"
    case .tokenWrong: "check that it was copied whole, or ask the relay's operator for another"
    case .tokenExpired, .tokenRevoked, .notInScope: "ask the relay's operator for another"
    case .identityNotAllowed:
      "ask its operator to allow the identity of this share (`qtun relay --allow`)"
    case .undecidable: "ask its operator to look at the relay's log"
    case .restarting: "wait"
    }
  }

  /// Why there is no direct path.
  static func failure(_ failure: PunchFailure) -> String {
    switch failure {
    case .bothNATsUnpredictable: "the NATs of both sides give out unpredictable ports"
    case .udpBlocked: "UDP does not pass at one of the two sides"
    case .noCandidates: "the peer has no address that may be tried"
    case .searchRests: "a search for ports was made not long ago"
    case .noAnswer(let mode, let probes):
      "no answer to \(probes) probes (\(self.mode(mode))); trying again"
    }
  }
}
