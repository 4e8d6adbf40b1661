/// A forward in ssh's form, `[bind:]port:host:hostport`, taken apart at the colons outside of
/// brackets.
struct ForwardFields {
  /// As written.
  let text: String
  /// What was not taken yet.
  private(set) var rest: [String] = []

  init(_ text: String) {
    self.text = text
    var field = ""
    var isBracketed = false
    for character in text {
      switch character {
      case "[": isBracketed = true
      case "]": isBracketed = false
      case ":" where !isBracketed:
        rest.append(field)
        field = ""
        continue
      default: break
      }
      field.append(character)
    }
    rest.append(field)
  }

  /// Takes the address to listen at from the front: 127.0.0.1 where only ports are written, every
  /// address where `*` or nothing stands before the colon.
  ///
  /// - Parameters:
  ///   - form: how such a forward is written, for complaints.
  ///   - isAlone: whether nothing has to follow.
  mutating func takeListener(
    form: String, isAlone: Bool = false
  ) throws(ValueProblem) -> (HostPort.Host, PortRange) {
    var bind: String?
    if !PortRange.isWritten(in: rest[0]) {
      guard rest.count > (isAlone ? 1 : 2), PortRange.isWritten(in: rest[1]) else {
        throw ValueProblem(text, "has no port to listen at", fix: "write \(form)")
      }
      bind = rest.removeFirst()
    }
    let ports = try PortRange.parse(rest.removeFirst(), of: text, allowsZero: true)
    switch bind {
    case nil: return (HostPort.Rule.localListener.defaultHost, ports)
    case "", "*": return (.ipv6("::"), ports)
    case let bind?:
      let address = try HostPort.parse("\(bind):\(ports.first)", rule: .localListener)
      return (address.host, ports)
    }
  }
}
