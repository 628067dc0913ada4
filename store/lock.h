// The archive's lock: at most one writer, on this machine.
#pragma once

#include <string>

#include "base/result.h"

namespace kokuin::store {

/// Holds flock(2) on DIR/lock, exclusively, until it is destroyed or the process ends. The file stays and
/// holds the process id of the last holder, for messages. Movable.
class Lock {
  public:
    /// Error (environment) at once if somebody else holds it; names the process if it is known.
    static Result<Lock> take(const std::string& dir);
    ~Lock();
    Lock(Lock&& other) noexcept;
    Lock& operator=(Lock&& other) noexcept;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

  private:
    explicit Lock(int file) : file_(file) {}
    int file_ = -1;
};

}  // namespace kokuin::store
