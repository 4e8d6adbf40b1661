internal import Glibc
internal import QuicTransport

/// The answer to one request for a shared folder: a head, and a body that comes from memory or from
/// a file.
struct FolderResponse {
  /// Head, and the body where it is not a file.
  var bytes: [UInt8]
  var file: SharedFile?
  /// The part of the file that belongs to the body.
  var range: Range<UInt64> = 0..<0
  /// Whether the connection ends after it.
  var closes: Bool

  /// Answers a request (RFC 9110): GET and HEAD of files, of folders by their index.html or a plain
  /// list, and one range of bytes.
  init(to head: HTTPHead, in folder: SharedFolder) {
    let closes =
      head.minorVersion == 0 || head.members(of: "connection").contains("close")
      // A body that we would have to skip: nobody sends one with GET.
      || !head.values(of: "transfer-encoding").isEmpty
      || head.values(of: "content-length").contains { $0 != [UInt8(ascii: "0")] }
    let isHead = head.method == "HEAD"
    guard isHead || head.method == "GET" else {
      self.init(
        status: "405 Method Not Allowed", fields: ["Allow: GET, HEAD"], closes: true, isHead: false)
      return
    }
    // RFC 9112 §3.2: one Host field, from version 1.1 on.
    guard head.values(of: "host").count == 1 || head.minorVersion == 0 else {
      self.init(status: "400 Bad Request", closes: true, isHead: isHead)
      return
    }
    guard let path = FolderPath(target: head.target), let file = Self.open(path, in: folder) else {
      self.init(status: "404 Not Found", closes: closes, isHead: isHead)
      return
    }
    switch file.kind {
    case .other: self.init(status: "404 Not Found", closes: closes, isHead: isHead)
    case .file: self.init(file, name: path.names.last ?? "", head: head, closes: closes)
    case .folder where !path.isFolder:
      // Links in the index are relative to the folder.
      self.init(
        status: "308 Permanent Redirect", fields: ["Location: \(path.folderURL)"], closes: closes,
        isHead: isHead)
    case .folder:
      if let index = try? folder.open("\(path.relative)/index.html"), index.kind == .file {
        self.init(index, name: "index.html", head: head, closes: closes)
      } else {
        self.init(listing: file, of: path, closes: closes, isHead: isHead)
      }
    }
  }

  /// A short answer of words.
  init(status: String, fields: [String] = [], closes: Bool, isHead: Bool) {
    self.init(
      status: status, fields: ["Content-Type: text/plain; charset=utf-8"] + fields,
      body: Array("\(status)\n".utf8), closes: closes, isHead: isHead)
  }

  private init(status: String, fields: [String], body: [UInt8], closes: Bool, isHead: Bool) {
    let head = Self.head(status, fields + ["Content-Length: \(body.count)"], closes: closes)
    self.init(bytes: isHead ? head : head + body, closes: closes)
  }

  private init(bytes: [UInt8], closes: Bool) {
    self.bytes = bytes
    self.closes = closes
  }

  private init(_ file: SharedFile, name: String, head: HTTPHead, closes: Bool) {
    let tag = "\"\(String(file.modified, radix: 16))-\(String(file.size, radix: 16))\""
    var fields = [
      "ETag: \(tag)", "Last-Modified: \(HTTPDate.text(file.modified))", "Accept-Ranges: bytes",
    ]
    // RFC 9110 §13.1.2: a list, and weak comparison is equal to strong for our tags.
    let known = head.members(of: "if-none-match")
    if known.contains(tag) || known.contains("w/\(tag)") || known.contains("*") {
      self.init(bytes: Self.head("304 Not Modified", fields, closes: closes), closes: closes)
      return
    }
    fields += ["Content-Type: \(MediaType.of(name))", "X-Content-Type-Options: nosniff"]
    switch ByteRange.wanted(by: head, size: file.size, tag: tag) {
    case .whole:
      self.init(file, 0..<file.size, "200 OK", fields, head, closes)
    case .part(let range):
      let part = "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(file.size)"
      self.init(file, range, "206 Partial Content", fields + [part], head, closes)
    case .unsatisfiable:
      self.init(
        status: "416 Range Not Satisfiable", fields: ["Content-Range: bytes */\(file.size)"],
        closes: closes, isHead: head.method == "HEAD")
    }
  }

  private init(
    _ file: SharedFile, _ range: Range<UInt64>, _ status: String, _ fields: [String],
    _ head: HTTPHead, _ closes: Bool
  ) {
    let bytes = Self.head(status, fields + ["Content-Length: \(range.count)"], closes: closes)
    self.init(bytes: bytes, closes: closes)
    guard head.method != "HEAD" else { return }
    self.file = file
    self.range = range
  }

  private init(listing folder: SharedFile, of path: FolderPath, closes: Bool, isHead: Bool) {
    guard let entries = try? folder.entries(count: Self.entriesMax) else {
      self.init(status: "404 Not Found", closes: closes, isHead: isHead)
      return
    }
    let shown = entries.filter { !$0.name.hasPrefix(".") }.sorted { $0.name < $1.name }
    var text = "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<ul>\n"
    if !path.names.isEmpty { text += "<li><a href=\"../\">../</a>\n" }
    for entry in shown {
      let slash = entry.isFolder ? "/" : ""
      let link = "./\(FolderPath.escaped(entry.name))\(slash)"
      text += "<li><a href=\"\(link)\">\(Self.escaped(entry.name))\(slash)</a>\n"
    }
    self.init(
      status: "200 OK", fields: ["Content-Type: text/html; charset=utf-8"],
      body: Array("\(text)</ul>\n".utf8), closes: closes, isHead: isHead)
  }

  private static func open(_ path: FolderPath, in folder: SharedFolder) -> SharedFile? {
    // What may not be read, and what leads out, is as good as missing.
    guard let file = try? folder.open(path.relative) else { return nil }
    return file.kind == .file && path.isFolder ? nil : file
  }

  private static func head(_ status: String, _ fields: [String], closes: Bool) -> [UInt8] {
    let connection = closes ? ["Connection: close"] : []
    return Array(
      ((["HTTP/1.1 \(status)"] + fields + connection).joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.append(character)
      }
    }
  }

  /// A list is built in memory; a folder with more is none to look through in a browser.
  private static let entriesMax = 10_000
}
