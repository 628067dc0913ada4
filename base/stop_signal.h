// How a server learns that it shall stop.
#pragma once

#include <string>

namespace kokuin {

/// From its construction on, SIGTERM, SIGINT and SIGHUP (a terminal that closes) no longer end the process
/// but wake wait(). Make it when there is something to stop in good order: until then the signals end the
/// process at once, also where it hangs in somebody's library. So they do again after the first one: a stop
/// in good order waits for calls in progress, and a module of an HSM may never return from one. One object a
/// process.
class StopSignal {
  public:
    StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;

    /// Blocks until a signal came, or was raised by stop(); returns what it was, for the log.
    std::string wait();
    /// Wakes wait(), from any thread: the program itself can't go on.
    static void stop();
};

}  // namespace kokuin
