// The records of one segment, each by itself, and what the segment's index and blobs have to say of them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "audit/key_history.h"
#include "audit/problem.h"
#include "audit/trust.h"
#include "audit/work.h"
#include "base/result.h"
#include "store/blob.h"
#include "store/removal.h"
#include "store/scan.h"
#include "store/tlog/merkle.h"

namespace kokuin::audit {

/// Sums over rows of a table that are the same, whatever their order, exactly if the rows are (but for a
/// chance of 2^-64: the key is made anew for each run, and nobody can choose rows to fit).
class RowSums {
  public:
    /// `table`: one of these.
    enum Table : std::size_t { serials, times, imprints, events, tables };
    /// A key for a run: random.
    struct Key {
        std::array<std::uint64_t, 4> words{};
        static Key make();
    };
    static std::uint64_t hash(const Key& key, View row, std::uint64_t number);
    void add(Table table, std::uint64_t hash) {
        sums_[table] += hash;
        ++counts_[table];
    }
    void add(const RowSums& other);
    [[nodiscard]] bool same(Table table, const RowSums& other) const {
        return sums_[table] == other.sums_[table] && counts_[table] == other.counts_[table];
    }

  private:
    std::array<std::uint64_t, tables> sums_{};
    std::array<std::uint64_t, tables> counts_{};
};

/// What a run of records gave.
struct Stretch {
    std::vector<std::optional<tlog::Hash>> leaves;  ///< nothing: missing or unreadable
    std::vector<Problem> problems;
    RowSums sums;                        ///< what the index has to hold of them
    std::set<store::BlobId> blobs;       ///< that they name
    bool context_lost = false;           ///< then they name more, and nobody knows which
    std::vector<std::uint64_t> serials;  ///< RowSums::hash of each, with number 0
    struct Time {
        store::RecordNumber number = 0;
        std::int64_t gen_time_us = 0;
    };
    std::vector<Time> times;            ///< of its tokens to which nothing is objected
    std::vector<store::Run> removed{};  ///< of which only the leaf's hash is there
    std::uint64_t tokens = 0;
    std::uint64_t without_tac = 0;
    std::uint64_t events = 0;
};

/// What all of a run share; must outlive what is made of it.
struct CheckContext {
    std::string dir;
    const Trust* trust = nullptr;
    const KeyHistory& keys;
    RowSums::Key key;
};

/// Looks at records [first, first + count) of one segment, as one of several threads. Keeps a connection and
/// what tokens share.
class RecordCheck {
  public:
    static Result<std::unique_ptr<RecordCheck>> open(const CheckContext& context, const std::string& segment);
    ~RecordCheck();
    Stretch check(store::RecordNumber first, std::int64_t count);

  private:
    class Impl;
    explicit RecordCheck(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Sums over one table of the index, of rows with first ≤ number < end; the others go to `stray`.
Result<RowSums> index_sums(const CheckContext& context, const std::string& segment, RowSums::Table table,
                           store::RecordNumber first, store::RecordNumber end,
                           std::vector<store::RecordNumber>& stray);

/// Names the rows of an index that don't fit the records, one by one: for when the sums have told that there
/// are some.
std::vector<Problem> find_index_problems(const CheckContext& context, const std::string& segment,
                                         RowSums::Table table, store::RecordNumber first,
                                         store::RecordNumber end);

}  // namespace kokuin::audit
