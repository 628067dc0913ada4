// A whole archive against everything that it claims (ARC-3, ARC-4, ARC-8).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/custody_check.h"
#include "audit/problem.h"
#include "audit/removal_check.h"
#include "audit/restored.h"
#include "audit/seal_check.h"
#include "audit/trust.h"
#include "base/result.h"
#include "store/tlog/note.h"

namespace kokuin::audit {

struct Progress {
    std::string segment;      ///< what is being looked at
    std::uint64_t done = 0;   ///< records
    std::uint64_t total = 0;  ///< as far as is known
};

struct VerifyOptions {
    std::string dir;
    const Trust* trust = nullptr;  ///< null: the archive is judged by what it says itself
    /// A checkpoint at which an earlier verification ended well: records below it are not looked at again,
    /// but what the archive says now of the tree over them must still be what it was.
    std::optional<tlog::Note> since{};
    unsigned threads = 0;                             ///< 0: all cores
    std::function<void(const Progress&)> progress{};  ///< on the calling thread, some times a second
};

struct VerifyReport {
    std::uint64_t records = 0;  ///< looked at; those that were removed count, too
    std::uint64_t tokens = 0;
    std::uint64_t without_tac = 0;  ///< of these: issued on a reference clock alone
    std::uint64_t events = 0;
    std::uint64_t lost = 0;  ///< records of segments that aren't there, as far as the others tell
    std::uint64_t checkpoints = 0;
    std::vector<std::string> segments;
    std::string origin;                    ///< of its newest log
    std::vector<Restored> restored;        ///< how often it was, oldest first
    std::optional<std::uint64_t> covered;  ///< records below this are under a checkpoint that fits
    std::string checkpoint;                ///< that one, as a note
    std::uint64_t uncovered = 0;           ///< newer ones, for which nothing speaks but themselves
    std::vector<SealedMonth> seals;
    Removed removed;  ///< of what was looked at
    CustodyFindings custody;
    bool anchored = false;  ///< judged by a trust file that lacks nothing
    std::string not_anchored_because;
    std::vector<Problem> problems;  ///< by segment and number; at most `most_problems`
    std::uint64_t more_problems = 0;
    static constexpr std::size_t most_problems = 100'000;
    [[nodiscard]] bool ok() const { return problems.empty(); }
};

/// Recomputes everything: leaves, tree, checkpoints and their signatures; of every token signature,
/// certificate, imprint and TAC, the clock's bound, the state of its key; that serial numbers are unique; the
/// index; the chain of segments. Changes nothing. Error: (usage) no archive here, or `since` is no checkpoint
/// of its log; (environment) what keeps it from looking at all.
Result<VerifyReport> verify(const VerifyOptions& options);

}  // namespace kokuin::audit
