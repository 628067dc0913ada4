#include "audit/verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>
#include <utility>

#include "audit/present.h"
#include "audit/segment_check.h"
#include "audit/signed_heads.h"
#include "audit/tree_check.h"
#include "store/context.h"
#include "store/log_keys.h"
#include "store/scan.h"
#include "store/tiles.h"
#include "store/tree_reader.h"

namespace kokuin::audit {
namespace {

using store::RecordNumber;
using store::SegmentScan;

/// Records that a thread looks at before it takes others: whole tiles, a second's work at most.
constexpr std::int64_t stretch_length = 2048;
/// See SegmentScan::last().
constexpr std::int64_t most_missing = 1'000'000;
/// Tokens of one stretch that doesn't fit are named one by one up to so many.
constexpr std::uint64_t most_named = 20'000;
/// No token waits longer for its HSM than this, and no proved clock is set back by more.
constexpr std::int64_t most_late_us = 600'000'000;

/// One segment as it was found.
struct Segment {
    std::string name;
    SegmentScan scan;
    RecordNumber last = -1;  // then
    RecordNumber first = 0;
    RecordNumber end = 0;  // records of this segment are below
};

class Verification {
  public:
    explicit Verification(const VerifyOptions& options)
        : options_(options),
          context_{options.dir, options.trust, keys_, RowSums::Key::make()},
          threads_(options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency())) {}

    Result<VerifyReport> run() {
        const auto names = store::segments_in(options_.dir);
        if (!names) return names.error();
        open(*names);
        if (segments_.empty()) return finish();
        report_.origin = segments_.back().scan.facts().origin;
        for (Segment& segment : segments_) {
            read_keys(segment);
            total_ += static_cast<std::uint64_t>(segment.end - segment.first);
        }
        if (!chain_whole_) keys_.give_up();
        log_keys_ =
            options_.trust && !options_.trust->log_keys.empty() ? options_.trust->log_keys : keys_.log_keys();
        if (auto done = begin(); !done) return done.error();
        {
            Workers workers(threads_);
            for (Segment& segment : segments_) {
                check_surroundings(segment);
                check_checkpoints(segment, workers);
            }
        }
        check_old_events();
        for (std::size_t i = 0; i < segments_.size(); ++i)
            if (static_cast<std::uint64_t>(segments_[i].end) > since_) check(i);
        tree_->end();
        check_end();
        check_serials();
        check_gone();
        check_months();
        name_tokens();
        return finish();
    }

  private:
    void object(std::string kind, const std::string& segment, std::string detail,
                std::optional<RecordNumber> number = std::nullopt, std::string serial = "") {
        add({std::move(kind), segment, number, std::move(serial), std::move(detail)});
    }
    void add(Problem problem) {
        if (report_.problems.size() < VerifyReport::most_problems) {
            report_.problems.push_back(std::move(problem));
        } else {
            ++report_.more_problems;
        }
    }

    /// The segments and how they follow each other.
    void open(const std::vector<std::string>& names) {
        for (const std::string& name : names) {
            auto scan = SegmentScan::open(options_.dir, name);
            // Nothing is removed of a finished month while it is looked at.
            const Done held = scan && name != names.back() ? scan->hold() : Done();
            const auto last = !scan   ? Result<RecordNumber>(scan.error())
                              : !held ? Result<RecordNumber>(held.error())
                                      : scan->last();
            if (!last) {
                object("segment", name, last.error().text);
                chain_whole_ = false;
                continue;
            }
            const RecordNumber first = scan->facts().first;
            // Where it begins decides how much is looked for: no further on than the records before it reach.
            const RecordNumber least = segments_.empty() ? 0 : segments_.back().first;
            const RecordNumber most = segments_.empty() || scan->facts().previous != segments_.back().name
                                          ? static_cast<RecordNumber>(store::most_leaves)
                                          : segments_.back().end + most_missing;
            if (first < least || first > most) {
                object("chain", name,
                       "it says that it begins with record " + std::to_string(first) +
                           ", which can't be; nothing of it was looked at");
                chain_whole_ = false;
                continue;
            }
            segments_.push_back({name, std::move(*scan), *last, first, std::max(first, *last + 1)});
            report_.segments.push_back(name);
        }
        for (std::size_t i = 0; i < segments_.size(); ++i) {
            Segment& one = segments_[i];
            const auto& facts = one.scan.facts();
            if (i + 1 < segments_.size() && segments_[i + 1].scan.facts().previous == one.name)
                one.end = std::max(one.first, segments_[i + 1].first);
            if (i == 0) {
                if (!facts.previous.empty() || facts.first != 0) {
                    chain_whole_ = false;
                    object(
                        "chain", one.name,
                        "it goes on with record " + std::to_string(facts.first) + " after the segment " +
                            (facts.previous.empty() ? std::string("that it doesn't name") : facts.previous) +
                            ", which isn't there");
                }
                continue;
            }
            const Segment& before = segments_[i - 1];
            if (facts.archive != before.scan.facts().archive)
                object("segment", one.name, "it belongs to another archive than " + before.name);
            else if (facts.origin != before.scan.facts().origin)
                change_log(one, before);
            if (facts.previous != before.name) {
                chain_whole_ = false;
                object("chain", one.name,
                       "it says that it follows the segment " + facts.previous + ", which isn't there");
            }
        }
        for (const Segment& one : segments_) {
            if (!one.scan.facts().origin.ends_with("/" + one.scan.facts().archive) &&
                !began_with_restore(one.scan.facts().origin))
                object("segment", one.name, "its log isn't named after its archive");
            if (has_journal(one.name))
                object("segment", one.name,
                       "beside it lies the journal of a write that was broken off, which changes it when "
                       "somebody opens "
                       "it to write");
        }
    }

    /// A segment may be of another log than the one before only where the archive was restored.
    void change_log(Segment& one, const Segment& before) {
        auto restored = restored_with(one.scan);
        const auto& from = before.scan.facts().origin;
        if (restored && restored->from_origin == from && restored->origin == one.scan.facts().origin &&
            static_cast<RecordNumber>(restored->size) == one.first)
            report_.restored.push_back(std::move(*restored));
        else
            object("segment", one.name,
                   "it is of another log than " + before.name +
                       ", and doesn't begin with a record that says how the archive was restored");
    }
    bool began_with_restore(const std::string& origin) const {
        return std::any_of(report_.restored.begin(), report_.restored.end(),
                           [&](const Restored& restored) { return restored.origin == origin; });
    }
    /// How many records of this archive are in the log of this name; nothing if none are. Of its newest log:
    /// all.
    std::optional<std::uint64_t> reach(const std::string& origin) const {
        if (origin == report_.origin) return std::numeric_limits<std::uint64_t>::max();
        for (const Restored& restored : report_.restored)
            if (restored.from_origin == origin) return restored.size;
        return std::nullopt;
    }

    /// Who signed when, by the archive's own events.
    void read_keys(Segment& segment) {
        std::vector<RecordNumber> wanted;
        (void)segment.scan.events([&](RecordNumber number, std::string_view kind, std::string_view) {
            if (kind == "archive.key" || kind == store::archive_expired || kind == "witness.key" ||
                kind == "tac.accepted" || kind.starts_with("key.") || kind.starts_with("seal."))
                wanted.push_back(number);
        });
        for (const RecordNumber number : wanted) {
            read_keys(segment, number, keys_);
            believed_.push_back(number);
        }
    }
    static void read_keys(Segment& segment, RecordNumber number, KeyHistory& keys) {
        const auto der = segment.scan.record(number);
        if (!der || !*der) return;
        const auto record = store::decode_bare(**der);
        const auto* event = record ? std::get_if<store::Event>(&record->body) : nullptr;
        if (event) keys.add(*record, *event);
    }

    /// The keys that a witness of this name may sign with: those of the trust file, if it names it; else what
    /// the archive itself says, as it stands by now.
    std::vector<tlog::VerifierKey> witness_keys(const std::string& name, Segment& segment) {
        const auto of_name = [&name](const std::vector<tlog::VerifierKey>& all) {
            std::vector<tlog::VerifierKey> keys;
            for (const auto& key : all)
                if (key.name() == name) keys.push_back(key);
            return keys;
        };
        auto keys = of_name(options_.trust ? options_.trust->witnesses : std::vector<tlog::VerifierKey>());
        if (keys.empty()) keys = of_name(keys_.witness_keys());
        if (!keys.empty()) return keys;
        KeyHistory newer;
        std::vector<RecordNumber> wanted;
        (void)segment.scan.events([&](RecordNumber number, std::string_view kind, std::string_view) {
            if (kind == "witness.key" && number >= segment.end) wanted.push_back(number);
        });
        for (const RecordNumber number : wanted) read_keys(segment, number, newer);
        return of_name(newer.witness_keys());
    }

    /// Where the tree begins, and the heads from outside that it must have.
    Done begin() {
        const auto demand = [this](const tlog::Note& note) -> Result<tlog::TreeHead> {
            const auto checkpoint = store::signed_by(note, log_keys_);
            if (!checkpoint) return checkpoint.error();
            const auto reached = reach(checkpoint->origin);
            if (!reached)
                return Error::no("it is of the log " + checkpoint->origin + ", this archive is " +
                                 report_.origin);
            if (checkpoint->head.size > *reached)
                return Error::no("it is over " + std::to_string(checkpoint->head.size) +
                                 " records of the log " + checkpoint->origin + ", which ended with " +
                                 std::to_string(*reached) +
                                 " when the archive was restored: the others are lost (a checkpoint of its "
                                 "newest log tells no more than that it is whole since)");
            return checkpoint->head;
        };
        if (options_.since) {
            const auto head = demand(*options_.since);
            if (!head) return Error::usage("the checkpoint to begin at: " + head.error().text);
            since_ = head->size;
            const auto end = static_cast<std::uint64_t>(segments_.back().end);
            if (since_ > end) {
                object("rolled-back", segments_.back().name,
                       "the checkpoint to begin at covers " + std::to_string(since_) + " records; here are " +
                           std::to_string(end) + ": the last " + std::to_string(since_ - end) +
                           " are missing");
                since_ = 0;
            }
        }
        if (options_.trust && options_.trust->checkpoint) {
            auto head = demand(*options_.trust->checkpoint);
            if (!head) {
                object("rolled-back", "", "the checkpoint of the trust file: " + head.error().text);
            } else {
                witnessed_ = *head;
            }
        }
        const bool from_since = options_.since && since_ > 0;
        auto edge = edge_at(since_ ? since_ : static_cast<std::uint64_t>(segments_.front().first));
        const bool known = edge.ok();
        if (!known) {
            object("tree", segments_.front().name,
                   "the tree over the records before can't be computed: " + edge.error().text);
            edge = store::TileEdge();
        }
        if (known && from_since && edge->tree().head() != tlog::Checkpoint::parse(options_.since->text)->head)
            since_fits_ = false;
        if (!since_fits_)
            object("tree", segment_of(since_ ? since_ - 1 : 0),
                   "what is there of the tree over the first " + std::to_string(since_) +
                       " records isn't what the checkpoint to begin at was signed over");
        using Told = TreeCheck::Told;
        tree_.emplace(
            std::move(*edge),
            [this](unsigned level, std::uint64_t position, std::uint64_t last) {
                Segment* segment = find(last);
                auto tile = segment ? segment->scan.tile(level, position) : Result<Bytes>(Bytes());
                return tile ? std::move(*tile) : Bytes();
            },
            Told{[this](std::uint64_t number) {
                     object("damaged", segment_of(number), "it isn't the record that was signed",
                            static_cast<RecordNumber>(number));
                 },
                 [this](std::uint64_t number) {
                     object("damaged", segment_of(number),
                            "it isn't the record whose hash the tree names, and no checkpoint tells which is "
                            "right",
                            static_cast<RecordNumber>(number));
                 },
                 [this](unsigned level, std::uint64_t position, const std::string& how) {
                     const std::uint64_t last = ((position + 1) << (8U * (level + 1))) - 1;
                     object("tile", segment_of(last),
                            "the tile " + std::to_string(level) + "/" + std::to_string(position) + " " + how);
                 },
                 [this](std::uint64_t last_good, std::uint64_t size, bool seen_outside) {
                     object("tree", segment_of(size - 1),
                            "the records " + std::to_string(last_good) + " to " + std::to_string(size - 1) +
                                " are not all those that " +
                                (seen_outside ? "somebody outside has seen: not all those that " : "") +
                                "the checkpoint of size " + std::to_string(size) + " was signed over");
                     if (size - last_good <= most_named) misfits_.emplace_back(last_good, size);
                 },
                 [this](std::uint64_t number) {
                     object("tree", segment_of(number),
                            "from record " + std::to_string(number) +
                                " on no checkpoint can be compared: its hash is lost");
                 }});
        for (const Segment& segment : segments_) tree_->watch(static_cast<std::uint64_t>(segment.first));
        if (!known) tree_->give_up();
        if (witnessed_ && witnessed_->size > since_) tree_->expect(*witnessed_, true);
        if (witnessed_ && witnessed_->size <= since_ && witnessed_->size > 0) {
            const auto then = edge_at(witnessed_->size);
            if (!then || then->tree().head() != *witnessed_)
                object(
                    "tree", "",
                    "what is there of the tree isn't what the checkpoint of the trust file was signed over");
        }
        return {};
    }

    /// The edge of the tree over the first `size` records, out of tiles (and of the last records).
    Result<store::TileEdge> edge_at(std::uint64_t size) {
        return store::TileEdge::load(
            size,
            [this, size](unsigned level, std::uint64_t position) -> Result<Bytes> {
                // A tile that isn't full yet at `size` stands, longer perhaps, in the segment that comes
                // next.
                const std::uint64_t last = ((position + 1) << (8U * (level + 1))) - 1;
                for (const std::uint64_t at : {last, size}) {
                    Segment* segment = find(at);
                    auto tile = segment ? segment->scan.tile(level, position) : Result<Bytes>(Bytes());
                    if (!tile || !tile->empty()) return tile;
                }
                return Bytes();
            },
            [this](std::uint64_t number) -> Result<tlog::Hash> {
                Segment* segment = find(number);
                const auto der = segment ? segment->scan.record(static_cast<RecordNumber>(number))
                                         : Result<std::optional<Bytes>>(std::optional<Bytes>());
                if (!der) return der.error();
                if (!*der) return Error::environment("record " + std::to_string(number) + " is missing");
                return store::leaf_of(**der);
            });
    }

    /// Events that tell of keys are believed of the time before `since` too: they must be those of its tree.
    void check_old_events() {
        if (since_ == 0 || !options_.since || !since_fits_) return;
        const auto head = tlog::Checkpoint::parse(options_.since->text);
        auto tree = store::TreeReader::open(options_.dir);
        if (!head || !tree) return;
        for (const RecordNumber number : believed_) {
            if (static_cast<std::uint64_t>(number) >= since_) continue;
            Segment* segment = find(static_cast<std::uint64_t>(number));
            const auto der = segment->scan.record(number);
            const auto proof = (*tree)->inclusion_proof(static_cast<std::uint64_t>(number), since_);
            if (!der || !*der || !proof ||
                !tlog::verify_inclusion(static_cast<std::uint64_t>(number), store::leaf_of(**der), *proof,
                                        head->head))
                object("damaged", segment->name, "it isn't the record that was signed", number);
        }
    }

    bool has_journal(const std::string& segment) const {
        struct stat status {};
        const std::string path = options_.dir + "/" + segment + ".sqlite-journal";
        return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
    }

    Segment* find(std::uint64_t number) {
        for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment)
            if (static_cast<std::uint64_t>(segment->first) <= number) return &*segment;
        return nullptr;
    }
    std::string segment_of(std::uint64_t number) {
        const Segment* segment = find(number);
        return segment ? segment->name : "";
    }

    void check(std::size_t index) {
        Segment& segment = segments_[index];
        const RecordNumber first = std::max(segment.first, static_cast<RecordNumber>(since_));
        const RecordNumber end = segment.end;
        std::mutex mutex;
        std::vector<Problem> found;
        const auto told = [&](std::vector<Problem> problems) {
            const std::lock_guard lock(mutex);
            found.insert(found.end(), problems.begin(), problems.end());
        };
        const bool whole = first == segment.first;  // otherwise who names its blobs isn't known
        bool context_lost = false;                  // nor then
        std::array<std::optional<RowSums>, RowSums::tables> index_rows;
        std::vector<RecordNumber> stray;
        std::set<store::BlobId> blobs;  // that are there
        std::map<RecordNumber, Stretch> ready;
        std::condition_variable changed;
        std::vector<std::unique_ptr<RecordCheck>> checks(threads_);
        Workers workers(threads_);  // last: it ends first, whatever happens here
        {
            workers.add([&](unsigned) { told(check_pages(segment.name)); });
            workers.add([&](unsigned) { told(read_blobs(segment.name, blobs)); });
            for (std::size_t table = 0; table < RowSums::tables; ++table)
                workers.add([&, table](unsigned) {
                    std::vector<RecordNumber> outside;
                    auto sums = index_sums(context_, segment.name, static_cast<RowSums::Table>(table), first,
                                           end, outside);
                    const std::lock_guard lock(mutex);
                    stray.insert(stray.end(), outside.begin(), outside.end());
                    if (sums) {
                        index_rows[table] = *sums;
                    } else {
                        found.push_back({"index", segment.name, {}, "", sums.error().text});
                    }
                });
        }

        // The records, by all threads; what they give is taken in order.
        RowSums sums;
        std::set<store::BlobId> used;
        RecordNumber taken = first;
        const auto take = [&](bool all) {
            while (taken < end) {
                std::optional<Stretch> stretch;
                {
                    std::unique_lock lock(mutex);
                    if (all) changed.wait(lock, [&] { return ready.contains(taken); });
                    const auto next = ready.find(taken);
                    if (next == ready.end()) return;
                    stretch = std::move(next->second);
                    ready.erase(next);
                }
                for (const auto& leaf : stretch->leaves) tree_->add(leaf);
                sums.add(stretch->sums);
                used.insert(stretch->blobs.begin(), stretch->blobs.end());
                gone_.insert(gone_.end(), stretch->removed.begin(), stretch->removed.end());
                context_lost = context_lost || stretch->context_lost;
                serials_.insert(serials_.end(), stretch->serials.begin(), stretch->serials.end());
                report_.tokens += stretch->tokens;
                report_.without_tac += stretch->without_tac;
                for (const auto& time : stretch->times) judge_order(segment.name, time);
                report_.events += stretch->events;
                report_.records += stretch->leaves.size();
                taken += static_cast<RecordNumber>(stretch->leaves.size());
                for (Problem& problem : stretch->problems) add(std::move(problem));
                done_ += stretch->leaves.size();
                if (options_.progress) options_.progress({segment.name, done_, total_});
            }
        };
        for (RecordNumber at = first; at < end;) {
            const std::int64_t count = std::min(stretch_length - at % stretch_length, end - at);
            workers.add([&, at, count](unsigned worker) {
                Stretch stretch = look(checks[worker], segment.name, at, count);
                const std::lock_guard lock(mutex);
                ready.emplace(at, std::move(stretch));
                changed.notify_one();
            });
            at += count;
            take(false);
        }
        take(true);
        workers.wait();
        for (Problem& problem : found) add(std::move(problem));
        check_outside(index, stray, first);
        for (std::size_t table = 0; table < RowSums::tables; ++table)
            if (!index_rows[table] || !index_rows[table]->same(static_cast<RowSums::Table>(table), sums))
                for (Problem& problem : find_index_problems(context_, segment.name,
                                                            static_cast<RowSums::Table>(table), first, end))
                    add(std::move(problem));
        for (const auto& id : blobs)
            if (whole && !context_lost && !used.contains(id) && !is_new(segment, id))
                unnamed_.emplace_back(segment.name, id);
    }

    /// By a thread. What a record's octets make a library throw is a problem of theirs.
    Stretch look(std::unique_ptr<RecordCheck>& check, const std::string& segment, RecordNumber first,
                 std::int64_t count) const {
        std::string trouble;
        try {
            if (!check) {
                auto opened = RecordCheck::open(context_, segment);
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

    /// Tokens come in the order of their time, but for those that wait for an HSM, and for a clock that is
    /// set right.
    void judge_order(const std::string& segment, const Stretch::Time& time) {
        if (time.gen_time_us + most_late_us < newest_us_)
            object("clock", segment,
                   "its time is " + duration_text(newest_us_ - time.gen_time_us) +
                       " before that of a token whose record comes first",
                   time.number);
        newest_us_ = std::max(newest_us_, time.gen_time_us);
        times_.push_back(time);
        // Of the records that no checkpoint covers in the end, which are the last ones.
        while (times_.size() > 1 && covered_by(times_.front().number)) times_.pop_front();
    }
    /// True if a checkpoint that is signed well says so.
    bool covered_by(RecordNumber number) const {
        return !notes_.empty() && static_cast<std::uint64_t>(number) < notes_.rbegin()->first;
    }

    /// What was written while we looked is no problem.
    bool is_new(const Segment& segment, const store::BlobId& id) {
        if (&segment != &segments_.back()) return false;
        bool named = false;
        auto scan = SegmentScan::open(options_.dir, segment.name);
        if (!scan) return false;
        store::Contexts contexts;
        const auto lookup = [&](const store::BlobId& wanted) { return scan->blob(wanted); };
        (void)scan->records(
            segment.end, std::numeric_limits<RecordNumber>::max(), [&](RecordNumber, View der) {
                auto bare = store::decode_bare(der);
                if (!bare) return;
                const auto* own = std::get_if<store::OwnIssuance>(&bare->body);
                named = named || (own && own->context == id);
                const auto record = store::complete(std::move(*bare), contexts, lookup);
                if (!record) return;
                const auto ids =
                    std::visit([](const auto& body) { return store::blobs_of(body); }, record->body);
                named = named || std::find(ids.begin(), ids.end(), id) != ids.end();
            });
        return named;
    }

    void check_surroundings(Segment& segment) {
        const auto differences = segment.scan.differences();
        if (!differences) return object("segment", segment.name, differences.error().text);
        for (const std::string& difference : *differences) object("segment", segment.name, difference);
        (void)segment.scan.tiles([&](std::int64_t level, std::int64_t position, View hashes) {
            const std::string name =
                "the tile " + std::to_string(level) + "/" + std::to_string(position) + " ";
            if (level < 0 || level >= static_cast<std::int64_t>(store::tile_levels) || position < 0 ||
                position > static_cast<std::int64_t>(store::most_leaves >>
                                                     (8U * (static_cast<unsigned>(level) + 1))) ||
                hashes.empty() || hashes.size() % sizeof(tlog::Hash) != 0 ||
                store::width_of(hashes) > store::tile_width)
                return object("tile", segment.name, name + "is no tile");
            const std::uint64_t shift = 8U * static_cast<unsigned>(level);
            const std::uint64_t begin = static_cast<std::uint64_t>(position) * store::tile_width;
            const std::uint64_t end = begin + store::width_of(hashes);
            const auto full_end = (begin + store::tile_width) << shift;
            const auto first = static_cast<std::uint64_t>(segment.first);
            const bool became_full = store::width_of(hashes) == store::tile_width && full_end > first &&
                                     full_end <= static_cast<std::uint64_t>(segment.end);
            // What the segment began with, of a tile that hasn't become full since.
            const bool from_before = end == first >> shift && begin == end - end % store::tile_width;
            // Or has become full while we looked.
            const bool newer = &segment == &segments_.back() &&
                               full_end > static_cast<std::uint64_t>(segment.end) &&
                               store::width_of(hashes) == store::tile_width && grown_to(full_end);
            if (!became_full && !(from_before && full_end > static_cast<std::uint64_t>(segment.end)) &&
                !newer)
                object("tile", segment.name, name + "doesn't belong here");
        });
    }

    /// Which roots the tree must have at which sizes, as far as the segment says.
    void check_checkpoints(Segment& segment, Workers& workers) {
        HeadRules rules{
            segment.name,  segment.scan.facts().origin,
            segment.first, segment.end,
            since_,        {},
            log_keys_,     [&](const std::string& witness) { return witness_keys(witness, segment); }};
        if (&segment == &segments_.back())
            rules.grown_to = [this](std::uint64_t size) { return grown_to(size); };
        auto found = check_heads(segment.scan, rules, workers);
        report_.checkpoints += found.checkpoints;
        for (Problem& problem : found.problems) add(std::move(problem));
        for (SignedHead& one : found.heads) {
            tree_->expect(one.head, false);
            notes_[one.head.size] = std::move(one.note);
        }
    }

    std::vector<Problem> check_pages(const std::string& segment) {
        std::vector<Problem> problems;
        auto scan = SegmentScan::open(options_.dir, segment);
        const auto lines = scan ? scan->integrity() : Result<std::vector<std::string>>(scan.error());
        if (!lines) return {{"segment", segment, {}, "", lines.error().text}};
        for (const std::string& line : *lines)
            problems.push_back({"segment", segment, {}, "", "its file: " + line});
        return problems;
    }

    std::vector<Problem> read_blobs(const std::string& segment, std::set<store::BlobId>& blobs) {
        std::vector<Problem> problems;
        auto scan = SegmentScan::open(options_.dir, segment);
        if (!scan) return {{"segment", segment, {}, "", scan.error().text}};
        const auto read = scan->blobs([&](View id, View content) {
            const store::BlobId name = store::blob_id(content);
            if (equal(id, name)) {
                blobs.insert(name);
                return;
            }
            problems.push_back(
                {"blob", segment, {}, "", "the blob " + to_hex(id) + " isn't what its name says"});
        });
        if (!read) problems.push_back({"blob", segment, {}, "", read.error().text});
        return problems;
    }

    /// Rows with numbers that this segment hasn't got. In the newest one they may have come while we looked.
    void check_outside(std::size_t index, const std::vector<RecordNumber>& stray, RecordNumber looked_from) {
        Segment& segment = segments_[index];
        const bool newest = index + 1 == segments_.size();
        const auto now = segment.scan.last();
        const RecordNumber last = now ? *now : segment.last;
        for (const RecordNumber number : stray)
            if (number < segment.first || (number >= looked_from && (!newest || number > last)))
                object("index", segment.name, "its index names a record that it hasn't got", number);
        const auto outside = [&](RecordNumber from, RecordNumber to) {
            (void)segment.scan.records(from, to, [&](RecordNumber number, View) {
                object("foreign", segment.name, "the record doesn't belong into this segment", number);
            });
        };
        outside(std::numeric_limits<RecordNumber>::min(), segment.first - 1);
        outside(newest ? std::max(segment.end, last + 1) : segment.end,
                std::numeric_limits<RecordNumber>::max());
    }

    void check_end() {
        const auto end = static_cast<std::uint64_t>(segments_.back().end);
        const std::string& newest = segments_.back().name;
        if (witnessed_ && witnessed_->size > end && !grown_to(witnessed_->size))
            object("rolled-back", newest,
                   "outside, " + std::to_string(witnessed_->size) + " records were seen; here are " +
                       std::to_string(end) + ": the last " + std::to_string(witnessed_->size - end) +
                       " are missing");
        const auto good = tree_->last_good();
        if (good)
            report_.covered = good;
        else if (since_ > 0)
            report_.covered = since_;
        if (good) {
            const auto note = notes_.find(*good);
            if (note != notes_.end()) report_.checkpoint = note->second;
        } else if (options_.since && since_ > 0) {
            report_.checkpoint = options_.since->write();
        }
        const std::uint64_t covered = report_.covered.value_or(0);
        report_.uncovered = end > covered ? end - covered : 0;
        judge_uncovered(newest, covered);
        for (const Segment& segment : segments_) check_beginning(segment);
    }

    /// Nothing is stamped while records are under no checkpoint for too long: tokens of no more time than
    /// that can be.
    void judge_uncovered(const std::string& newest, std::uint64_t covered) {
        const auto within = keys_.covered_within_us();
        if (!within) return;
        while (!times_.empty() && static_cast<std::uint64_t>(times_.front().number) < covered)
            times_.pop_front();
        if (times_.empty()) return;
        const auto [first, last] =
            std::minmax_element(times_.begin(), times_.end(),
                                [](const auto& a, const auto& b) { return a.gen_time_us < b.gen_time_us; });
        const std::int64_t span = last->gen_time_us - first->gen_time_us;
        if (span > *within + most_late_us)
            object("checkpoint", newest,
                   "tokens of " + duration_text(span) + " are under no checkpoint, from record " +
                       std::to_string(times_.front().number) + " on; nothing is stamped once it is " +
                       duration_text(*within));
    }

    /// A segment begins with the tiles of the tree's edge; those that became full since are compared
    /// elsewhere.
    void check_beginning(const Segment& segment) {
        const auto first = static_cast<std::uint64_t>(segment.first);
        const auto edge = tree_->edges().find(first);
        if (edge == tree_->edges().end() || !edge->second) return;
        for (const store::Tile& tile : *edge->second) {
            auto* own = find_name(segment.name);
            const auto stored = own->scan.tile(tile.level, tile.position);
            const bool begins = stored && stored->size() >= tile.hashes.size() &&
                                equal(View(*stored).first(tile.hashes.size()), tile.hashes);
            if (!begins)
                object("tile", segment.name,
                       "the tile " + std::to_string(tile.level) + "/" + std::to_string(tile.position) +
                           (stored && stored->empty() ? " is missing" : " isn't the one of the tree"));
        }
    }

    Segment* find_name(const std::string& name) {
        for (Segment& segment : segments_)
            if (segment.name == name) return &segment;
        return nullptr;
    }

    /// True if the archive has that many records by now.
    bool grown_to(std::uint64_t size) {
        const auto now = segments_.back().scan.last();
        return now && static_cast<std::uint64_t>(*now + 1) >= size;
    }

    /// Seals of those that have ended.
    void check_months() {
        SealContext context{options_.dir,
                            options_.trust,
                            log_keys_,
                            {},
                            [this](const std::string& spki) { return keys_.knows(spki); },
                            since_,
                            threads_};
        for (const Segment& one : segments_) context.segments.push_back({one.name, one.first, one.end});
        std::vector<Problem> found;
        report_.seals = check_seals(context, found);
        for (Problem& problem : found) add(std::move(problem));
    }

    /// What was removed may have been.
    void check_gone() {
        std::vector<Span> spans;
        for (Segment& one : segments_) {
            spans.push_back({one.name, one.first, one.end});
            // What isn't looked at again tells at least of what isn't there.
            if (static_cast<std::uint64_t>(one.first) < since_)
                (void)one.scan.removed([this](RecordNumber number) {
                    if (static_cast<std::uint64_t>(number) < since_) store::add_to(gone_, number);
                });
        }
        gone_ = store::joined(std::move(gone_));
        std::vector<Problem> found;
        report_.removed = check_removals(
            {options_.dir, spans, report_.covered.value_or(0), SystemWallClock().now()}, gone_, found);
        // What a record named that is gone and mustn't be nobody knows.
        for (const auto& [segment, id] : unnamed_)
            if (std::none_of(found.begin(), found.end(), [&segment = segment](const Problem& problem) {
                    return problem.kind == "missing" && problem.segment == segment;
                }))
                object("foreign", segment, "the blob " + to_hex(id) + " is named by no record");
        for (Problem& problem : found) add(std::move(problem));
    }

    /// No serial number twice, over all segments.
    void check_serials() {
        if (since_ > 0) {
            // What isn't looked at again has serial numbers too.
            const std::unordered_set<std::uint64_t> fresh(serials_.begin(), serials_.end());
            for (Segment& segment : segments_)
                (void)segment.scan.serials([&](View serial, RecordNumber number) {
                    const auto hash = RowSums::hash(context_.key, serial, 0);
                    if (static_cast<std::uint64_t>(number) < since_ && fresh.contains(hash))
                        serials_.push_back(hash);
                });
        }
        std::sort(serials_.begin(), serials_.end());
        std::unordered_set<std::uint64_t> twice;
        for (std::size_t i = 1; i < serials_.size(); ++i)
            if (serials_[i] == serials_[i - 1]) twice.insert(serials_[i]);
        if (twice.empty()) return;
        std::map<Bytes, std::vector<std::pair<std::string, RecordNumber>>> where;
        for (Segment& segment : segments_)
            (void)segment.scan.serials([&](View serial, RecordNumber number) {
                if (twice.contains(RowSums::hash(context_.key, serial, 0)))
                    where[Bytes(serial.begin(), serial.end())].emplace_back(segment.name, number);
            });
        for (const auto& [serial, places] : where)
            for (std::size_t i = 1; i < places.size(); ++i)
                object("serial", places[i].first,
                       "record " + std::to_string(places.front().second) + " of " + places.front().first +
                           " has the same serial number",
                       places[i].second, to_hex(serial));
    }

    /// Serial numbers of records that can't say it themselves any more, by the index; and the tokens of
    /// stretches that don't fit.
    void name_tokens() {
        std::map<std::string, std::map<RecordNumber, std::string>> wanted;
        for (const Problem& problem : report_.problems)
            if (problem.number && problem.serial.empty()) wanted[problem.segment][*problem.number];
        for (auto& [name, numbers] : wanted) {
            Segment* segment = find_name(name);
            if (!segment) continue;
            (void)segment->scan.serials([&](View serial, RecordNumber number) {
                if (const auto at = numbers.find(number); at != numbers.end()) at->second = to_hex(serial);
            });
        }
        for (Problem& problem : report_.problems)
            if (problem.number && problem.serial.empty())
                problem.serial = wanted[problem.segment][*problem.number];
        constexpr const char* among = "is among records that aren't all those that were signed";
        for (const auto& [from, to] : misfits_)
            for (Segment& segment : segments_)
                (void)segment.scan.serials([&](View serial, RecordNumber number) {
                    if (static_cast<std::uint64_t>(number) >= from && static_cast<std::uint64_t>(number) < to)
                        object("tree", segment.name, among, number, to_hex(serial));
                });
        for (const auto& [from, to] : misfits_)
            for (Segment& segment : segments_)
                (void)segment.scan.events([&](RecordNumber number, std::string_view, std::string_view) {
                    if (static_cast<std::uint64_t>(number) >= from && static_cast<std::uint64_t>(number) < to)
                        object("tree", segment.name, among, number);
                });
    }

    VerifyReport finish() {
        std::stable_sort(report_.problems.begin(), report_.problems.end(),
                         [](const Problem& a, const Problem& b) {
                             return std::pair(a.segment, a.number.value_or(-1)) <
                                    std::pair(b.segment, b.number.value_or(-1));
                         });
        report_.not_anchored_because = !options_.trust ? "no trust file" : options_.trust->lacks();
        if (options_.trust && !report_.not_anchored_because.empty())
            report_.not_anchored_because = "the trust file has no " + report_.not_anchored_because;
        const bool stamped = std::any_of(report_.seals.begin(), report_.seals.end(),
                                         [](const SealedMonth& one) { return one.time_stamps > 0; });
        if (options_.trust && options_.trust->seal_anchors.empty() && stamped)
            report_.not_anchored_because += report_.not_anchored_because.empty()
                                                ? "the trust file has no seal_anchors"
                                                : ", seal_anchors";
        report_.anchored = report_.not_anchored_because.empty();
        return std::move(report_);
    }

    const VerifyOptions& options_;
    KeyHistory keys_;
    const CheckContext context_;
    const unsigned threads_;
    std::vector<Segment> segments_;  // those that can be opened, oldest first
    std::vector<tlog::VerifierKey> log_keys_;
    std::uint64_t since_ = 0;
    std::optional<tlog::TreeHead> witnessed_;
    std::optional<TreeCheck> tree_;
    std::map<std::uint64_t, std::string> notes_;  // checkpoints that are signed well
    std::vector<std::pair<std::uint64_t, std::uint64_t>> misfits_;
    std::vector<std::uint64_t> serials_;
    std::vector<RecordNumber> believed_;                          // events that keys_ is made of
    std::vector<std::pair<std::string, store::BlobId>> unnamed_;  // blobs that no record names, by segment
    std::vector<store::Run> gone_;     // records of which only the leaf's hash is there
    std::deque<Stretch::Time> times_;  // of the last tokens
    std::int64_t newest_us_ = 0;       // the largest genTime so far
    bool since_fits_ = true;           // the tree over what isn't looked at is what it was
    bool chain_whole_ = true;          // no segment is missing
    std::uint64_t done_ = 0;
    std::uint64_t total_ = 0;
    VerifyReport report_;
};

}  // namespace

Result<VerifyReport> verify(const VerifyOptions& options) {
    return Verification(options).run();
}

}  // namespace kokuin::audit
