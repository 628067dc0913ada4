#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kokuin::load {

// What happened, counted; to_json() is what kokuin-load prints.
struct Tally {
    std::uint64_t requests = 0;  // sent
    std::uint64_t granted = 0;
    std::uint64_t connects = 0;
    std::map<std::string, std::uint64_t> refused;  // by name of the PKIFailureInfo bit
    std::map<std::string, std::uint64_t> errors;   // by kind
    std::vector<std::uint32_t> latencies_us;       // of granted answers
    double seconds = 0;                            // first request sent … last answer
    double cpu_seconds = 0;                        // of this process

    std::string to_json();
};

}  // namespace kokuin::load
