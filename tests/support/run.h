// Other programs, for tests. Failures to start one throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kokuin::testing {

/// Runs a program (found in PATH) to its end, without a shell; its output and errors together.
struct Ran {
    int status = -1;  ///< exit code, 128 + signal if it was killed
    std::string output;
};
Ran run(const std::vector<std::string>& command);

/// Starts a program in a process group of its own, what it writes thrown away; the caller ends and awaits it.
pid_t start_in_group(const std::vector<std::string>& command);

/// The first of these files that exists: where packages of different systems put the same one.
std::string first_of(const std::vector<std::string>& paths);

}  // namespace kokuin::testing
