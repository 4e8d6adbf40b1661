internal import QuicTransport

/// Finds out which host the first request of an HTTP/1.x connection is for (RFC 9112 §3.2), from its
/// bytes as they come.
///
/// Strict, because the share behind the name reads the same bytes again: what two servers could take
/// for two hosts is refused here.
struct HostReader {
  /// What the bytes so far amount to.
  enum Result: Equatable {
    case needsMore
    /// The request's head, and the host that it is for, without a port.
    case request(HTTPHead, host: String)
    case refused(Refusal)
  }

  /// Why a connection goes nowhere.
  enum Refusal: Equatable {
    /// It is no HTTP/1.x, or a doubtful one; with a reason for people.
    case malformed(String)
    case tooLarge
    /// HTTP/2 without an agreement on it (RFC 9113 §3.3).
    case http2
  }

  /// The longest head: what web servers take by default is from 8 to 32 KiB.
  static let headMax = 16 * 1024

  /// How much of it was searched for the end of a head.
  private var searched = 0

  /// - Parameter bytes: all that came so far; more each time.
  mutating func read(_ bytes: [UInt8]) -> Result {
    let preface = Self.http2Preface.prefix(bytes.count)
    let mayBeHTTP2 = bytes.starts(with: preface)
    if mayBeHTTP2, bytes.count >= Self.http2Preface.count { return .refused(.http2) }
    switch HTTPHead.read(bytes, searched: searched, sizeMax: Self.headMax) {
    case .needsMore:
      searched = bytes.count
      return .needsMore
    // The preface's first line names a version that no HTTP/1.x head has.
    case .malformed where mayBeHTTP2: return .needsMore
    case .malformed: return .refused(.malformed("this is no HTTP/1.x request"))
    case .tooLarge: return .refused(.tooLarge)
    case .head(let head, _):
      switch Self.host(of: head) {
      case .success(let host): return .request(head, host: host)
      case .failure(let problem): return .refused(.malformed(problem.text))
      }
    }
  }

  /// A sentence about what is wrong with a request.
  struct Problem: Error, Equatable {
    let text: String
  }

  /// The host that a request is for: a name in lower case without a final dot, or an address.
  static func host(of head: HTTPHead) -> Swift.Result<String, Problem> {
    // RFC 9110 §9.3.6: for proxies, and this is none.
    guard head.method != "CONNECT" else { return .failure(Problem(text: "this is no proxy")) }
    let fields = head.values(of: "host")
    // RFC 9112 §3.2: one, and from HTTP/1.1 on not none.
    guard fields.count == 1 || fields.isEmpty && head.minorVersion == 0 else {
      return .failure(Problem(text: "a request has one Host field"))
    }
    let authority: String
    if let absolute = HTTPTarget.absoluteForm(head.target, schemes: ["http", "https"]) {
      // RFC 9112 §3.2.2: it counts, and the field does not.
      authority = absolute.authority
    } else {
      guard head.target.hasPrefix("/") || head.target == "*" else {
        return .failure(Problem(text: "the target of the request has no form that we know"))
      }
      guard let field = fields.first else {
        return .failure(Problem(text: "a request without a Host field leads nowhere here"))
      }
      authority = String(decoding: field, as: UTF8.self)
    }
    guard let host = HTTPTarget.host(ofAuthority: authority) else {
      return .failure(Problem(text: "the host of the request is none"))
    }
    return .success(host)
  }

  private static let http2Preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
}
