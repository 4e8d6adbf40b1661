internal import CNgtcp2

/// The versions of the system libraries in use, as they say at run time.
public enum LibraryVersions {
  public static var ngtcp2: String {
    ngtcp2_version(0).map { String(cString: $0.pointee.version_str) } ?? "unknown"
  }

  public static var gnutls: String {
    gnutls_check_version(nil).map { String(cString: $0) } ?? "unknown"
  }
}
