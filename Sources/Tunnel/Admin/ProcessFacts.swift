internal import Glibc

/// What proc(5) says of this process. Read when somebody asks; each file is one system call's worth.
struct ProcessFacts {
  /// Bytes in memory.
  let residentBytes: UInt64
  let openDescriptors: Int
  let descriptorsMax: UInt64
  /// User and system time.
  let processorTime: Duration

  static func read() -> ProcessFacts {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let time = [usage.ru_utime, usage.ru_stime].reduce(Duration.zero) {
      $0 + .seconds(Int64($1.tv_sec)) + .microseconds(Int64($1.tv_usec))
    }
    return ProcessFacts(
      residentBytes: residentPages * UInt64(sysconf(Int32(_SC_PAGESIZE))),
      openDescriptors: countDescriptors(), descriptorsMax: UInt64(limit.rlim_cur),
      processorTime: time)
  }

  /// The second field of statm.
  private static var residentPages: UInt64 {
    let raw = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return 0 }
    defer { close(raw) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = Glibc.read(raw, &bytes, bytes.count)
    guard count > 0 else { return 0 }
    let fields = bytes[..<count].split(separator: 0x20)
    return fields.count > 1 ? UInt64(String(decoding: fields[1], as: UTF8.self)) ?? 0 : 0
  }

  /// 0 where none is left to look with.
  private static func countDescriptors() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    // Not the one that looks.
    return max(0, count - 1)
  }
}
