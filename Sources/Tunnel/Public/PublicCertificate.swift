internal import QuicTransport

/// The certificate that a relay shows to visitors whose TLS ends there, from files that may change.
///
/// Looked at when a visitor comes, once a second at most, so that a renewed certificate needs no restart.
/// Files that cannot be read, or do not belong together, change nothing but the log: whoever renews them
/// writes two files, one after the other.
final class PublicCertificate {
  private let files: CertificateFiles
  private let loop: any EventLoop
  private let onEvent: (RelayEvent) -> Void
  private var credentials: TLSStreamCredentials
  /// Of both files, as they were read last, whether that went well or not.
  private var stamps: [FileStamp?]
  private var lastLook: Instant

  /// Reads it for the first time.
  ///
  /// - Throws: `.configuration`.
  init(
    _ files: CertificateFiles, loop: any EventLoop, onEvent: @escaping (RelayEvent) -> Void
  ) throws(QuicError) {
    self.files = files
    self.loop = loop
    self.onEvent = onEvent
    stamps = Self.stamps(of: files)
    lastLook = loop.now
    credentials = try TLSStreamCredentials(certificateFile: files.certificate, keyFile: files.key)
  }

  /// What to show to a visitor of this host; nil where the certificate is for others.
  func credentials(for host: String) -> TLSStreamCredentials? {
    let current = current()
    return current.isFor(host) ? current : nil
  }

  /// What to show to a visitor who has not said yet whom it wants.
  func current() -> TLSStreamCredentials {
    lookAgain()
    return credentials
  }

  private func lookAgain() {
    guard loop.now - lastLook >= Self.lookInterval else { return }
    lastLook = loop.now
    let stamps = Self.stamps(of: files)
    guard stamps != self.stamps else { return }
    self.stamps = stamps
    do throws(QuicError) {
      credentials = try TLSStreamCredentials(certificateFile: files.certificate, keyFile: files.key)
      onEvent(.certificateRenewed(file: files.certificate))
    } catch {
      onEvent(.certificateUnusable(file: files.certificate, reason: error.description))
    }
  }

  private static func stamps(of files: CertificateFiles) -> [FileStamp?] {
    [FileStamp(path: files.certificate), FileStamp(path: files.key)]
  }

  private static let lookInterval = Duration.seconds(1)
}
