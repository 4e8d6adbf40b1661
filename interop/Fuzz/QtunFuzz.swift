import Glibc

// libFuzzer brings `main` and calls these two. Its arguments are its own, and it starts itself again
// with some of them; so the target's name is in the environment:
//
//     qtun-fuzz                                     lists the targets
//     QTUN_FUZZ_TARGET=NAME qtun-fuzz [ARGUMENT...]

/// Finds the target.
@c(LLVMFuzzerInitialize)
public func initialize(_: UnsafePointer<Int32>, _: UnsafeRawPointer) -> Int32 {
  guard let name = getenv("QTUN_FUZZ_TARGET").map({ String(cString: $0) }) else {
    for target in FuzzTarget.all { print(target.name) }
    exit(0)
  }
  chosen = FuzzTarget.all.first { $0.name == name }
  guard chosen != nil else {
    print("no target '\(name)'; without QTUN_FUZZ_TARGET the targets are listed")
    exit(2)
  }
  return 0
}

/// Runs one input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  chosen?.run(UnsafeRawBufferPointer(start: bytes, count: count))
  return 0
}

// SAFETY: written once, by `initialize`, on the only thread there is.
nonisolated(unsafe) private var chosen: FuzzTarget?
