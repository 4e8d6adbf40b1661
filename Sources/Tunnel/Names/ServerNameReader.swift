/// Finds the name that a TLS client asks for (SNI, RFC 6066 §3) in its first bytes, as they come.
///
/// It only looks: who calls it keeps the bytes and passes them on as they are. What is doubtful counts
/// as no TLS, so that nobody behind us finds another name in it.
struct ServerNameReader {
  /// What the bytes so far amount to.
  enum Result: Equatable {
    case needsMore
    /// In lower case, without a final dot.
    case name(String)
    /// A ClientHello that names no host.
    case noName
    /// No TLS, or a ClientHello that is broken or larger than we take.
    case notTLS
  }

  /// The longest ClientHello, with what its records add; those of browsers have 2 KiB.
  static let sizeMax = 16 * 1024

  /// Of the record that is being read.
  private var header: [UInt8] = []
  private var recordLeft = 0
  /// The handshake message, without the records around it.
  private var message: [UInt8] = []
  private var bytesRead = 0
  private var result = Result.needsMore

  /// Takes the next bytes of the connection. An answer is final.
  mutating func read(_ bytes: UnsafeRawBufferPointer) -> Result {
    var rest = bytes[...]
    while result == .needsMore, !rest.isEmpty {
      if recordLeft == 0 {
        header.append(rest.removeFirst())
        bytesRead += 1
        takeHeader()
      } else {
        let part = rest.prefix(recordLeft)
        message.append(contentsOf: part)
        recordLeft -= part.count
        bytesRead += part.count
        rest = rest.dropFirst(part.count)
        takeMessage()
      }
    }
    return result
  }

  // MARK: Records

  /// RFC 8446 §5.1: type, version, length. Each field is judged as soon as it is there.
  private mutating func takeHeader() {
    let isRight =
      switch header.count {
      case 1: header[0] == Self.firstByte
      // SSL 3 and TLS all have 3; the minor version says nothing in a ClientHello.
      case 2: header[1] == 3
      case 5: (1...Self.recordMax).contains(Int(header[3]) << 8 | Int(header[4]))
      default: true
      }
    guard isRight, bytesRead <= Self.sizeMax else { return result = .notTLS }
    guard header.count == 5 else { return }
    recordLeft = Int(header[3]) << 8 | Int(header[4])
    header = []
  }

  private mutating func takeMessage() {
    guard message.first == Self.clientHello else { return result = .notTLS }
    guard message.count >= 4 else { return }
    let count = 4 + (Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3]))
    guard count <= Self.sizeMax, bytesRead <= Self.sizeMax else { return result = .notTLS }
    guard message.count >= count else { return }
    result = Self.name(in: message[4..<count])
    message = []
  }

  // MARK: ClientHello

  /// RFC 8446 §4.1.2.
  private static func name(in hello: ArraySlice<UInt8>) -> Result {
    var hello = Fields(hello)
    guard hello.skip(2 + 32), hello.vector(1) != nil, hello.vector(2) != nil, hello.vector(1) != nil
    else { return .notTLS }
    // Before TLS 1.3 a ClientHello may end here.
    if hello.rest.isEmpty { return .noName }
    guard var extensions = hello.vector(2).map(Fields.init), hello.rest.isEmpty else {
      return .notTLS
    }
    var found: ArraySlice<UInt8>?
    while !extensions.rest.isEmpty {
      guard let type = extensions.number(2), let body = extensions.vector(2) else { return .notTLS }
      guard type == serverName else { continue }
      // RFC 8446 §4.2: no extension comes twice.
      guard found == nil else { return .notTLS }
      found = body
    }
    return found.map(name(inExtension:)) ?? .noName
  }

  /// RFC 6066 §3: a list of names, one of each kind at most.
  private static func name(inExtension body: ArraySlice<UInt8>) -> Result {
    var body = Fields(body)
    guard var list = body.vector(2).map(Fields.init), body.rest.isEmpty else { return .notTLS }
    var name: String?
    while !list.rest.isEmpty {
      guard let kind = list.number(1), let bytes = list.vector(2) else { return .notTLS }
      guard kind == hostName else { continue }
      // Addresses are not allowed there, and what resolvers may take for one is none of our names.
      guard name == nil, let text = TargetHost.normalized(String(decoding: bytes, as: UTF8.self))
      else { return .notTLS }
      name = text
    }
    return name.map { .name($0) } ?? .noName
  }

  /// Takes TLS's vectors apart (RFC 8446 §3.4).
  private struct Fields {
    var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
      rest = bytes
    }

    mutating func skip(_ count: Int) -> Bool {
      guard rest.count >= count else { return false }
      rest.removeFirst(count)
      return true
    }

    /// Of so many bytes.
    mutating func number(_ size: Int) -> Int? {
      guard rest.count >= size else { return nil }
      let number = rest.prefix(size).reduce(0) { $0 << 8 | Int($1) }
      rest.removeFirst(size)
      return number
    }

    /// What follows a length of so many bytes.
    mutating func vector(_ size: Int) -> ArraySlice<UInt8>? {
      guard let count = number(size), rest.count >= count else { return nil }
      defer { rest.removeFirst(count) }
      return rest.prefix(count)
    }
  }

  /// Every TLS connection begins with a handshake record.
  static let firstByte: UInt8 = 22
  private static let clientHello: UInt8 = 1
  private static let serverName = 0
  private static let hostName = 0
  /// RFC 8446 §5.1: plaintext.
  private static let recordMax = 1 << 14

  /// A fatal alert `unrecognized_name` (RFC 6066 §3, RFC 8446 §6.2): nobody shares the name.
  static let unrecognizedName: [UInt8] = [21, 3, 3, 0, 2, 2, 112]
}
