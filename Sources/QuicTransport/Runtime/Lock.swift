internal import Glibc

/// A value that one thread at a time uses.
///
/// `Mutex` of the Synchronization module would do, but where threads wait for it, the kernel hands it
/// from one to the next: that costs several system calls a turn, and the thread sanitizer, which sees
/// nothing of it, reports races between holders that waited for each other. It knows pthread's locks.
package struct Lock<Value>: ~Copyable, Sendable {
  // SAFETY: both are made by `init` and freed by `deinit`; the value is used under the mutex, and by
  // `deinit`, when nobody else has `self` any more.
  nonisolated(unsafe) private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  nonisolated(unsafe) private let value: UnsafeMutablePointer<Value>

  package init(_ value: consuming sending Value) {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let status = pthread_mutex_init(mutex, nil)
    precondition(status == 0, "a mutex with default attributes needs no resources")
    self.value = .allocate(capacity: 1)
    self.value.initialize(to: value)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    value.deinitialize(count: 1)
    value.deallocate()
  }

  /// Runs `body` with the value, which no other thread uses meanwhile. Not from within a `body`.
  package borrowing func withLock<Result, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value.pointee)
  }
}
