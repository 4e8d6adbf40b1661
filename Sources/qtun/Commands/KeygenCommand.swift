internal import QuicTransport
internal import Tunnel

/// `qtun keygen`: makes an identity and prints its public half.
struct KeygenCommand {
  let settings: KeygenSettings

  func run(_ global: GlobalSettings) throws(Failure) {
    let identity = Identity.generate()
    do throws(IdentityFileError) {
      try IdentityFile.create(identity, path: settings.file, replacing: settings.overwrites)
    } catch {
      throw Failure(error, path: settings.file)
    }
    guard global.isJSON else {
      return try StandardOutput.writeLine(identity.publicKey.description)
    }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", "identity")
      result.member("identity", identity.publicKey.description)
      result.member("file", settings.file)
    }
    try StandardOutput.writeLine(writer.text)
  }
}
