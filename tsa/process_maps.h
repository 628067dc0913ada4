// What the kernel says of a process: which memory it may execute, and who traces it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::tsa {

/// A stretch of executable memory.
struct Mapping {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;    ///< past the last octet
    std::uint64_t offset = 0;  ///< of `begin` in the file
    std::string path;          ///< the file it was mapped from; empty: none (a stack, a heap, generated code)
    bool deleted = false;      ///< that file isn't under this name any more; another one may be
    bool writable = false;
    bool readable = true;
    std::string file{};  ///< which file that is, whatever its name is now: "DEVICE INODE"; empty if `path` is
    bool operator==(const Mapping&) const = default;
};

/// The executable ones of /proc/PID/maps (proc_pid_maps(5)), but for those that the kernel itself lends
/// ([vdso], [vsyscall]). A line that isn't one of that file's is left out. Pure.
std::vector<Mapping> executable_mappings(std::string_view maps);

/// Who traces the process, of /proc/PID/status; nothing if nobody does. Pure.
std::optional<int> tracer_of(std::string_view status);

/// This process's own memory from `begin` to `end`, without risk. Error (no): not all of it is there (any
/// more); (environment): the kernel, or a filter of system calls, forbids it. Thread-safe.
Result<Bytes> own_memory(std::uintptr_t begin, std::uintptr_t end);

}  // namespace kokuin::tsa
