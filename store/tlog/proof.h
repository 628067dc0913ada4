// An inclusion proof as a file (C2SP tlog-proof): entry's place, hashes, checkpoint, and what the application
// adds. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/tlog/merkle.h"
#include "store/tlog/note.h"

namespace kokuin::tlog {

struct Proof {
    Bytes extra;  ///< what the application adds; authenticated by nothing here
    std::uint64_t index = 0;
    std::vector<Hash> hashes;  ///< as inclusion_proof()
    Note checkpoint;

    /// Error (usage): no proof file, or larger than 4 MiB.
    static Result<Proof> parse(std::string_view file);
    [[nodiscard]] std::string write() const;
};

}  // namespace kokuin::tlog
