// What a log sends to a witness, and what comes back (C2SP tlog-witness, add-checkpoint). Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/tlog/merkle.h"
#include "store/tlog/note.h"

namespace kokuin::tlog {

/// The body of a request: a checkpoint, and the proof that it goes on from the one of `old_size` leaves.
struct AddCheckpoint {
    std::uint64_t old_size = 0;
    std::vector<Hash> proof;  ///< as consistency_proof(); at most 63
    Note checkpoint;

    /// More than any that parse() takes.
    static constexpr std::size_t largest = (64U << 10U) + (4U << 10U);
    /// Error (usage): not such a body. Whether `checkpoint` is one isn't looked at.
    static Result<AddCheckpoint> parse(std::string_view body);
    [[nodiscard]] std::string write() const;
};

/// Media type of the answer 409: the size of the checkpoint that the witness has cosigned last, and a
/// newline.
inline constexpr const char* size_type = "text/x.tlog.size";
/// Reads that answer; nothing if it is no such size.
std::optional<std::uint64_t> parse_size(std::string_view body);

/// The signature lines of the answer 200. Error (usage): not such lines.
Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines);
/// The same written, each line with its newline.
std::string write_signature_lines(const std::vector<NoteSignature>& lines);

}  // namespace kokuin::tlog
