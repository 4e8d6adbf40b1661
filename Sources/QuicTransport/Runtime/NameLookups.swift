internal import Glibc

/// Looks names up without holding the loop: getaddrinfo(3) blocks, so each look-up has a short-lived
/// thread of its own. Bound to its loop.
///
/// A resolver that does not answer holds its thread for as long as resolv.conf(5) says; whoever
/// asked should not wait as long.
public final class NameLookups {
  /// Called on the loop, once.
  public typealias Completion = (Result<[SocketAddress], ResolveError>) -> Void

  private let loop: EpollLoop
  private var running = 0
  private var waiting: [Lookup] = []

  /// - Parameter loop: the one that `start` is called on.
  public init(loop: EpollLoop) {
    self.loop = loop
  }

  /// Looks `host` up. Fails at once when too many names wait already.
  ///
  /// - Parameter count: the most addresses that are wanted.
  public func start(_ host: String, count: Int, completion: @escaping Completion) {
    guard waiting.count < Self.waitingMax else {
      return completion(.failure(ResolveError(host: host, reason: "too many look-ups at once")))
    }
    waiting.append(Lookup(host: host, count: count, owner: self, completion: completion))
    runNext()
  }

  private func runNext() {
    guard running < Self.threadsMax, !waiting.isEmpty else { return }
    let lookup = waiting.removeFirst()
    running += 1
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(lookup).toOpaque()
    let error = pthread_create(
      &thread, nil,
      { argument in
        // SAFETY: balances the passRetained of runNext(); the thread owns that reference.
        Unmanaged<Lookup>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue().run()
        return nil
      }, argument)
    if error == 0 {
      pthread_detach(thread)
    } else {
      // SAFETY: no thread took the reference over.
      Unmanaged<Lookup>.fromOpaque(argument).release()
      finish(lookup, .failure(ResolveError(host: lookup.host, reason: "no thread to be had")))
    }
  }

  private func finish(_ lookup: Lookup, _ result: Result<[SocketAddress], ResolveError>) {
    running -= 1
    lookup.complete(result)
    runNext()
  }

  /// One question on its way to a thread and back. The thread touches nothing but the constants.
  private final class Lookup {
    let host: String
    let count: Int
    private var completion: Completion?
    private let owner: NameLookups

    init(host: String, count: Int, owner: NameLookups, completion: @escaping Completion) {
      self.host = host
      self.count = count
      self.owner = owner
      self.completion = completion
    }

    /// On the loop. The last reference may go on the thread, and must not take the caller's along.
    func complete(_ result: Result<[SocketAddress], ResolveError>) {
      completion?(result)
      completion = nil
    }

    /// On the thread.
    func run() {
      let result: Result<[SocketAddress], ResolveError>
      do throws(ResolveError) {
        result = .success(try HostResolver.resolve(host, port: 0, count: count))
      } catch {
        result = .failure(error)
      }
      // SAFETY: the thread is done with it; from here on only the loop touches it.
      nonisolated(unsafe) let lookup = self
      Task(executorPreference: owner.loop) { lookup.owner.finish(lookup, result) }
    }
  }

  /// Slow resolvers are waited for side by side; a thread costs 8 MiB of address space, not memory.
  private static let threadsMax = 16
  /// Beyond this, an answer would come too late for whoever asked.
  private static let waitingMax = 256
}
