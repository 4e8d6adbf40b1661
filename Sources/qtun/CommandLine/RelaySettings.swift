/// What `qtun relay` needs.
struct RelaySettings: Equatable, Sendable {
  /// The UDP and TCP address to listen on; nil for every address and the usual port.
  let listen: HostPort?
  /// How others call this machine; nil for one of its addresses.
  let name: HostPort?
  /// The file with the private key.
  let identityFile: String
  /// Where it listens for others.
  var listening = PublicRelaySettings()
}
