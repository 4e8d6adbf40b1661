internal import QuicTransport

/// Who may listen publicly at a relay, and for what: the one place that decides it.
struct PublicAccess {
  /// Everybody may.
  let isOpen: Bool
  /// Those who may otherwise; nil for nobody.
  private var allowed: AllowList?
  /// The names that are given out.
  let names: NameRules
  /// Told of a list that cannot be used any more.
  var onProblem: (AccessProblem) -> Void = { _ in }

  init(
    isOpen: Bool, allowed: AccessRules.AllowedIdentities?, names: NameRules
  ) throws(AccessProblem) {
    self.isOpen = isOpen
    self.names = names
    if let allowed {
      self.allowed = try AllowList(keys: allowed.keys, files: allowed.files)
    }
  }

  /// Why the node may not have what it asks for; nil if it may. Asked again for listeners that stand,
  /// so that a right that is taken away ends them.
  mutating func mayListen(_ identity: PublicKey, _ request: PublicRequest) -> PublicStatus? {
    guard isOpen || allowed?.contains(identity) == true else { return .notAllowed }
    guard request.kind?.hasName == true else { return nil }
    return names.permit(request.name) ? nil : .nameNotAllowed
  }

  /// Whether rights can change while the relay runs.
  var needsWatch: Bool { allowed != nil }

  /// Reads the lists again that changed.
  mutating func refresh() {
    for problem in allowed?.refresh() ?? [] { onProblem(problem) }
  }
}
