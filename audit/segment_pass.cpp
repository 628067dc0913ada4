#include "audit/segment_pass.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "audit/file_check.h"
#include "audit/work.h"

namespace kokuin::audit {
namespace {

using store::RecordNumber;

/// Records that a thread looks at before it takes others: whole tiles, a second's work at most.
constexpr std::int64_t stretch_length = 2048;

/// By a thread. What a record's octets make a library throw is a problem of theirs.
Stretch look(const CheckContext& context, std::unique_ptr<RecordCheck>& check, const std::string& segment,
             RecordNumber first, std::int64_t count) {
    std::string trouble;
    try {
        if (!check) {
            auto opened = RecordCheck::open(context, segment);
            if (opened)
                check = std::move(*opened);
            else
                trouble = opened.error().text;
        }
        if (check) return check->check(first, count);
    } catch (const std::exception& fault) {
        trouble = fault.what();
    }
    Stretch stretch;
    stretch.leaves.resize(static_cast<std::size_t>(count));
    stretch.problems.push_back(
        {"segment", segment, first, "",
         "the " + std::to_string(count) + " records from this one on can't be looked at: " + trouble});
    return stretch;
}

void add_all(std::vector<Problem>& to, std::vector<Problem> more) {
    to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// What threads hand over, each whenever it is done.
class Results {
  public:
    void add(std::vector<Problem> more) {
        const std::lock_guard lock(mutex_);
        add_all(problems_, std::move(more));
    }
    void add(RowSums::Table table, Result<RowSums> sums, const std::vector<RecordNumber>& stray,
             const std::string& segment) {
        const std::lock_guard lock(mutex_);
        stray_.insert(stray_.end(), stray.begin(), stray.end());
        if (sums) {
            index_[table] = *sums;
        } else {
            problems_.push_back({"index", segment, {}, "", sums.error().text});
        }
    }
    void add(RecordNumber first, Stretch stretch) {
        const std::lock_guard lock(mutex_);
        stretches_.emplace(first, std::move(stretch));
        changed_.notify_one();
    }
    /// The stretch that begins there; nothing if it isn't ready, unless it is waited for.
    std::optional<Stretch> stretch(RecordNumber first, bool wait) {
        std::unique_lock lock(mutex_);
        if (wait) changed_.wait(lock, [&] { return stretches_.contains(first); });
        const auto next = stretches_.find(first);
        if (next == stretches_.end()) return std::nullopt;
        std::optional stretch(std::move(next->second));
        stretches_.erase(next);
        return stretch;
    }

    // When all threads have ended.
    std::vector<Problem>& problems() { return problems_; }
    [[nodiscard]] const std::vector<RecordNumber>& stray() const { return stray_; }
    /// Nothing: it couldn't be read.
    [[nodiscard]] const std::optional<RowSums>& index(RowSums::Table table) const { return index_[table]; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<RecordNumber, Stretch> stretches_;
    std::vector<Problem> problems_;
    std::vector<RecordNumber> stray_;
    std::array<std::optional<RowSums>, RowSums::tables> index_;
};

}  // namespace

std::vector<store::BlobId> check_segment(const SegmentPass& pass, const std::function<void(Stretch)>& take,
                                         std::vector<Problem>& problems) {
    const std::string& name = pass.segment.name;
    const RecordNumber end = pass.segment.end;
    Results results;
    std::set<store::BlobId> blobs;  // that are there
    std::vector<std::unique_ptr<RecordCheck>> checks(pass.threads);
    Workers workers(pass.threads);  // last: it ends first, whatever happens here
    workers.add([&](unsigned) { results.add(check_pages(pass.context.dir, name)); });
    workers.add([&](unsigned) { results.add(check_blobs(pass.context.dir, name, blobs)); });
    for (std::size_t number = 0; number < RowSums::tables; ++number)
        workers.add([&, table = static_cast<RowSums::Table>(number)](unsigned) {
            std::vector<RecordNumber> outside;
            auto sums = index_sums(pass.context, name, table, pass.from, end, outside);
            results.add(table, std::move(sums), outside, name);
        });

    // The records, by all threads; what they give is taken in order.
    RowSums sums;
    std::set<store::BlobId> used;
    bool context_lost = false;
    RecordNumber taken = pass.from;
    const auto take_ready = [&](bool all) {
        while (taken < end) {
            auto stretch = results.stretch(taken, all);
            if (!stretch) return;
            sums.add(stretch->sums);
            used.insert(stretch->blobs.begin(), stretch->blobs.end());
            context_lost = context_lost || stretch->context_lost;
            taken += static_cast<RecordNumber>(stretch->leaves.size());
            take(std::move(*stretch));
        }
    };
    for (RecordNumber at = pass.from; at < end;) {
        const std::int64_t count = std::min(stretch_length - at % stretch_length, end - at);
        workers.add([&, at, count](unsigned worker) {
            results.add(at, look(pass.context, checks[worker], name, at, count));
        });
        at += count;
        take_ready(false);
    }
    take_ready(true);
    workers.wait();

    add_all(problems, std::move(results.problems()));
    add_all(problems, check_outside(pass.chain, pass.segment, results.stray(), pass.from));
    for (std::size_t number = 0; number < RowSums::tables; ++number) {
        const auto table = static_cast<RowSums::Table>(number);
        if (!results.index(table) || !results.index(table)->same(table, sums))
            add_all(problems, find_index_problems(pass.context, name, table, pass.from, end));
    }
    // Otherwise who names its blobs isn't known.
    std::vector<store::BlobId> unnamed;
    if (pass.from > pass.segment.first || context_lost) return unnamed;
    const bool newest = &pass.segment == &pass.chain.segments().back();
    for (const auto& id : blobs)
        if (!used.contains(id) && !(newest && is_named_since(pass.context.dir, pass.segment, id)))
            unnamed.push_back(id);
    return unnamed;
}

}  // namespace kokuin::audit
