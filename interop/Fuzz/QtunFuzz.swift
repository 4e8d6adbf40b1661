import Glibc

// libFuzzer brings `main` and calls these two. Its arguments are its own, and it starts itself
// again with some of them; so what is to run is in the environment:
//
//     qtun-fuzz                                     lists the families, each with its targets
//     QTUN_FUZZ_TARGET=NAME qtun-fuzz [ARGUMENT...]  a family, or a target alone

/// Finds the family or the target.
@c(LLVMFuzzerInitialize)
public func initialize(_: UnsafePointer<Int32>, _: UnsafeRawPointer) -> Int32 {
  guard let name = getenv("QTUN_FUZZ_TARGET").map({ String(cString: $0) }) else {
    for family in FuzzFamily.allCases {
      print(([family.rawValue] + family.targets.map(\.name)).joined(separator: " "))
    }
    exit(0)
  }
  chosen = FuzzFamily(rawValue: name)?.targets ?? FuzzTarget.all.filter { $0.name == name }
  guard !chosen.isEmpty else {
    print("no target '\(name)'; without QTUN_FUZZ_TARGET the targets are listed")
    exit(2)
  }
  watchTime()
  return 0
}

/// Runs one input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let input = UnsafeRawBufferPointer(start: bytes, count: count)
  runs += 1
  if chosen.count == 1 {
    chosen[0].run(input)
  } else if let number = input.first {
    chosen[Int(number) % chosen.count].run(UnsafeRawBufferPointer(rebasing: input.dropFirst()))
  }
  return 0
}

/// Goes by the processor's time, as a busy machine lets a program wait for long: an input that
/// needs ten seconds is a finding, and the limit that interop/run-fuzz sets (`ulimit -t`) a usual end.
private func watchTime() {
  signal(SIGPROF) { _ in
    if runs == runsAtLastLook, runs > 0 { abort() }
    runsAtLastLook = runs
  }
  // libFuzzer ends after the input that it is at.
  signal(SIGXCPU) { _ in raise(SIGUSR1) }
  let period = timeval(tv_sec: 10, tv_usec: 0)
  var timer = itimerval(it_interval: period, it_value: period)
  setitimer(__itimer_which_t(ITIMER_PROF.rawValue), &timer, nil)
}

// SAFETY: written once, by `initialize`, on the only thread there is.
nonisolated(unsafe) private var chosen: [FuzzTarget] = []
// SAFETY: numbers of one word, of the only thread there is and its signal handler.
nonisolated(unsafe) private var runs = 0
nonisolated(unsafe) private var runsAtLastLook = 0
