// What an archive says about one month of a time-stamping authority, as a value. How it looks is present.h's
// business.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/month.h"
#include "base/time.h"
#include "store/record.h"

namespace kokuin::audit::report {

/// Of a list no more than this is kept, and told what was left out: a month must not outgrow the memory.
constexpr std::size_t most_listed = 5000;

/// A list that ends somewhere.
template <typename T>
struct Listed {
    std::vector<T> rows;
    std::uint64_t left_out = 0;
    void add(T row) {
        if (rows.size() < most_listed)
            rows.push_back(std::move(row));
        else
            ++left_out;
    }
};

/// Tokens by the hour of their genTime. The bounds are those of the records (Issuance::clock_bound_us).
struct Hour {
    std::uint64_t tokens = 0;
    std::int64_t bound_max_us = 0;
    std::int64_t bound_median_us = 0;  ///< the lower of the two in the middle
};
struct Volume {
    std::uint64_t tokens = 0;
    std::uint64_t without_tac = 0;
    std::vector<Hour> hours;  ///< all of the month
    /// By policy and TSU.
    std::map<std::pair<std::string, std::string>, std::uint64_t> by;
    std::uint64_t peak = 0;             ///< tokens of the minute with the most
    std::optional<WallTime> peak_at{};  ///< that minute, the first of several

    [[nodiscard]] std::vector<std::uint64_t> days() const;
};

/// Requests that got no token, by the minute at whose end they were recorded.
struct Refusals {
    std::uint64_t total = 0;
    /// By "failInfo/cause", for each day of the month.
    std::map<std::string, std::vector<std::uint64_t>> by;
};

/// A TAC that came, and what became of it.
struct Audit {
    store::RecordNumber number = 0;
    WallTime at{};
    std::string tsu{};
    std::string verdict{};                    ///< "accepted", "stop", "refused", "taken-back"
    std::string tac{};                        ///< serial number, hex; empty where it isn't known
    std::optional<std::int64_t> offset_us{};  ///< as the TAC says it; of an order to stop TSU − TAA
    std::optional<std::int64_t> delay_us{};   ///< of the network
    std::optional<std::int64_t> max_offset_us{};
    std::optional<WallTime> until{};  ///< its expiration
    std::int64_t count = 1;           ///< refused like this within the hour
    std::string text{};               ///< of a refusal and the like
};
/// No TAC was in force.
struct Gap {
    std::string tsu;
    WallTime from{};  ///< may lie in an earlier month
    std::optional<WallTime> to{};
};

/// What the reference measured over about an hour.
struct Comparison {
    WallTime at{};
    std::int64_t measurements = 0;
    std::int64_t offset_min_us = 0;
    std::int64_t offset_max_us = 0;
    std::int64_t uncertainty_us = 0;
};
struct Clock {
    std::int64_t bound_max_us = 0;  ///< the largest of all tokens
    std::string bound_max_serial;   ///< of the first token with it, hex
    /// What tokens of a policy state, by a sample of each hour.
    std::map<std::string, std::set<std::int64_t>> accuracy_us;
    Listed<Comparison> comparisons;
};

/// An event as it was recorded.
struct Step {
    store::RecordNumber number = 0;
    WallTime at{};
    std::string kind;
    std::string subject;
    std::string key;  ///< its label in the HSM, where the event names one
    std::string text;
};

/// Something didn't work.
struct Outage {
    std::string what;     ///< "server", "gate", "hsm", "custody", "reference", "revocation", "checkpoint",
                          ///< "witness", "programs", "copy"
    std::string subject;  ///< whom it concerns
    std::string cause;    ///< one word
    std::string text;     ///< for people, as it was recorded
    WallTime from{};      ///< may lie in an earlier month
    std::optional<WallTime> to{};  ///< nothing: it lasted when the report ends
    bool recorded = true;  ///< false: nobody wrote down that it began; `from` is the last sign of life
    bool stops = false;    ///< that nothing was stamped for it, whatever a gate says
};
/// A gate: a TSU under policies that want the same.
struct Availability {
    std::string tsu;
    std::string policies;
    nanoseconds open{};  ///< the server ran, the gate was open, the key at hand
    nanoseconds of{};    ///< out of so much
};

struct Integrity {
    std::uint64_t checkpoints = 0;  ///< over records of the month
    /// The longest time between the first and the last token that one checkpoint was the first to cover.
    std::int64_t longest_uncovered_us = 0;
    std::uint64_t uncovered = 0;  ///< records of the month that no checkpoint covers
    std::int64_t removed = 0;     ///< records of its segments that were removed after their time
    /// Of those, and of such of months before it, the kinds of events from which outages and availability
    /// would follow: if there are any, nobody knows these any more, and both are empty.
    std::set<std::string> unknown_for{};
    std::optional<std::uint64_t> head_size{};
    std::string head_root;  ///< base64
    std::string head_note;
    std::map<std::string, std::uint64_t> cosignatures;  ///< by witness
};

/// What `verify` said.
struct Verified {
    bool ok = false;
    bool anchored = false;
    std::string not_anchored_because;
    std::uint64_t since = 0;  ///< records below weren't looked at; the tree over them was
    std::uint64_t records = 0;
    std::uint64_t tokens = 0;
    struct Problem {
        std::string kind;
        std::string segment;
        std::optional<store::RecordNumber> number{};
        std::string serial;
        std::string detail;
    };
    Listed<Problem> problems;
};

struct Report {
    explicit Report(Month of) : month(of) {}

    Month month;
    std::string archive;  ///< its id
    std::string origin;   ///< of its log
    std::string tsu;      ///< tokens, audits and gates of this one alone; empty: of all
    WallTime made{};
    bool interim = false;            ///< the month wasn't over
    WallTime from{};                 ///< its start, or the archive's first record
    WallTime until{};                ///< its end, or of what an interim report knows
    store::RecordNumber first = -1;  ///< lowest number of its records
    store::RecordNumber last = -1;
    WallTime last_at{};  ///< the latest time of its records: a copy may end before the month does
    std::map<std::string, std::uint64_t> events;  ///< by kind

    Volume volume;
    Refusals refusals;
    Clock clock;
    Listed<Audit> audits;
    std::map<std::string, std::uint64_t> verdicts;  ///< how many TACs got which, all of them
    Listed<Gap> gaps;
    Listed<Step> keys;   ///< of keys and custodians
    Listed<Step> steps;  ///< of the archive and the programs
    Listed<Outage> outages;
    std::vector<Availability> availability;
    Integrity integrity;
    std::optional<Verified> verified{};
};

}  // namespace kokuin::audit::report
