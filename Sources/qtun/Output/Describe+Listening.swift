internal import QuicTransport
internal import Tunnel

extension Describe {
  /// Why the sharing side does not listen for us.
  static func refusal(_ status: ListenStatus) -> String {
    switch status {
    case .listening: "it does"
    case .notAllowed: "it does not allow this address, or nothing of the kind with our ticket"
    case .addressInUse: "another program has the address there"
    case .addressUnusable: "that machine has no such address, or its port needs a permission"
    case .tooMany: "it listens at as many addresses as one session may have"
    case .unknownKind: "it cannot listen for that"
    case .other(let number): "for reason \(number), which this version does not know"
    }
  }

  /// What to do about it.
  static func fix(_ status: ListenStatus, for address: SocketAddress) -> String {
    switch status {
    case .notAllowed:
      "start it with `qtun share ... --allow-listen "
        + "\(address.port == 0 ? "\(address.bracketedHost):*" : address.description)`, and "
        + "take a ticket that is not limited to some services"
    case .addressInUse: "choose another port, or 0 for a free one"
    case .addressUnusable: "choose an address of that machine, and a port from 1024 up"
    case .tooMany: "open another session"
    case .listening, .unknownKind, .other: "use the same version of qtun on both sides"
    }
  }
}

extension SocketAddress {
  /// The address as it stands in front of a port.
  fileprivate var bracketedHost: String { isIPv4 ? host : "[\(host)]" }
}
