// What an audit objects to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/record.h"

namespace kokuin::audit {

/// One record, or one thing of a segment, that isn't as it should be.
struct Problem {
    /// "segment", "chain", "missing", "damaged", "moved", "foreign", "index", "blob", "tile", "checkpoint",
    /// "cosignature", "tree", "seal", "serial", "removal", "custody", "rolled-back"; of tokens also "token",
    /// "certificate", "tac", "clock", "key".
    std::string kind;
    std::string segment;                          ///< "2026-11"; empty: the archive as a whole
    std::optional<store::RecordNumber> number{};  ///< of the record, where it is one
    std::string serial{};                         ///< hex; empty: no token, or nobody knows which
    std::string detail;                           ///< one line
};

}  // namespace kokuin::audit
