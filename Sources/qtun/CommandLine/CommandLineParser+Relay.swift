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
}
