/// Who may listen publicly at a relay, and for what: the one place that decides it.
///
/// `RelayGate` says what right a node has; this is what that right means here, at a relay that gives
/// out these names.
struct PublicAccess {
  /// The names that are given out.
  var names: NameRules

  /// Why a node may not have what it asks for; nil if it may. Asked again for listeners that stand,
  /// when the rules change.
  ///
  /// - Parameter scope: of the node's right; nil where it has none.
  func mayListen(_ scope: RelayScope?, _ request: PublicRequest) -> PublicStatus? {
    guard let scope else { return .notAllowed }
    guard request.kind?.hasName == true else {
      if scope.ports.isEmpty { return .notAllowed }
      return request.port == 0 || scope.allows(port: request.port) ? nil : .outsideRange
    }
    if scope.names.isEmpty { return .notAllowed }
    return names.permit(request.name) && scope.allows(name: request.name) ? nil : .nameNotAllowed
  }
}
