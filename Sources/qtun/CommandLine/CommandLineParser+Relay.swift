internal import Tunnel

extension CommandLineParser {
  /// What a share says of its rendezvous.
  mutating func meetingSettings() -> MeetingSettings {
    let settings = MeetingSettings(
      rendezvous: values(of: Grammar.rendezvous), stun: values(of: Grammar.stun),
      hidesAddresses: count(Grammar.noAddresses) > 0)
    if settings.rendezvous.count > RendezvousAddress.countMax {
      complaints.append(
        Complaint(
          cause: "--rendezvous is given \(settings.rendezvous.count) times",
          fix: "give \(RendezvousAddress.countMax) at most"))
    }
    if settings.rendezvous.isEmpty {
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
}
