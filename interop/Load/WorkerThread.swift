import Glibc

/// A thread with a small stack; the server runs one for each open connection, up to 10,000 of them.
struct WorkerThread {
  private let thread: pthread_t

  /// Starts the body at once.
  init(_ body: @escaping @Sendable () -> Void) throws(LoadError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, Self.stackBytes)
    defer { pthread_attr_destroy(&attributes) }
    let argument = Unmanaged.passRetained(Body(run: body)).toOpaque()
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        // SAFETY: balances passRetained; the thread function runs exactly once.
        Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, argument)
    guard code == 0 else {
      Unmanaged<Body>.fromOpaque(argument).release()
      throw .system(call: "pthread_create", code: code)
    }
    self.thread = thread
  }

  /// Waits until the body has returned.
  func join() { pthread_join(thread, nil) }

  /// Lets the thread free itself when its body returns; no `join` may follow.
  func detach() { pthread_detach(thread) }

  /// Runs the body on `count` threads at once and returns when all have returned.
  static func inParallel(
    _ count: Int, _ body: @escaping @Sendable (Int) -> Void
  ) throws(LoadError) {
    var threads: [WorkerThread] = []
    for index in 0..<count { threads.append(try WorkerThread { body(index) }) }
    for thread in threads { thread.join() }
  }

  /// Enough for these shallow bodies; buffers live on the heap.
  private static let stackBytes = 128 << 10

  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
