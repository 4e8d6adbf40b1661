internal import CNgtcp2

/// The versions of the system libraries in use, as they say at run time.
public enum LibraryVersions {
  /// The version of libngtcp2, such as `1.11.0`.
  public static var ngtcp2: String {
    ngtcp2_version(0).map { String(cString: $0.pointee.version_str) } ?? "unknown"
  }

  /// The version of GnuTLS, such as `3.7.9`.
  public static var gnutls: String {
    gnutls_check_version(nil).map { String(cString: $0) } ?? "unknown"
  }
}
