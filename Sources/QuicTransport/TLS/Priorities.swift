internal import CNgtcp2

/// What TLS sessions may negotiate, by GnuTLS's names for it. Read once: it takes 8 KiB and some time,
/// which all sessions share that want the same.
final class Priorities {
  private var known: [String: gnutls_priority_t] = [:]

  init() {}

  deinit {
    // Sessions that use one hold it by themselves.
    for priority in known.values { gnutls_priority_deinit(priority) }
  }

  /// Has `session` negotiate what `text` says; false where GnuTLS does not understand it.
  ///
  /// - Parameter text: one of a few, as each is kept.
  func apply(_ text: String, to session: gnutls_session_t) -> Bool {
    if let priority = known[text] { return gnutls_priority_set(session, priority) == 0 }
    var made: gnutls_priority_t?
    guard gnutls_priority_init(&made, text, nil) == 0, let made else { return false }
    known[text] = made
    return gnutls_priority_set(session, made) == 0
  }

  /// How many were read.
  var count: Int { known.count }
}
