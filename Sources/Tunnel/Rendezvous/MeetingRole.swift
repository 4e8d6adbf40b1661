internal import QuicTransport

/// Why a node goes to a rendezvous.
enum MeetingRole {
  /// To be found by those who hold its ticket.
  ///
  /// `capability` is that of a grant (empty: the unrestricted one); nil if there can be none.
  case sharing(capability: (_ grant: [UInt8]) -> SecretBytes?)
  /// To find the node of a ticket.
  case dialling(peer: PublicKey, capability: SecretBytes, grant: [UInt8])
}
