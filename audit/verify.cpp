#include "audit/verify.h"

#include <algorithm>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "audit/chain.h"
#include "audit/file_check.h"
#include "audit/present.h"
#include "audit/segment_check.h"
#include "audit/segment_pass.h"
#include "audit/serials.h"
#include "audit/signed_heads.h"
#include "audit/tree_check.h"
#include "audit/work.h"
#include "store/log_keys.h"
#include "store/reader.h"
#include "store/tiles.h"
#include "store/tree_reader.h"

namespace kokuin::audit {
namespace {

using store::RecordNumber;
using store::SegmentScan;

/// Tokens of one stretch that doesn't fit are named one by one up to so many.
constexpr std::uint64_t most_named = 20'000;
/// No token waits longer for its HSM than this, and no proved clock is set back by more.
constexpr std::int64_t most_late_us = 600'000'000;

class Verification {
  public:
    /// `problems`: of the chain.
    Verification(const VerifyOptions& options, Chain chain, std::vector<Problem> problems)
        : options_(options),
          chain_(std::move(chain)),
          context_{options.dir, options.trust, keys_, RowSums::Key::make()},
          threads_(options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency())) {
        add(std::move(problems));
    }

    Result<VerifyReport> run() {
        report_.lost = chain_.lost();
        if (segments().empty()) return finish();
        report_.origin = chain_.origin();
        report_.restored = chain_.restored();
        for (Segment& segment : segments()) {
            report_.segments.push_back(segment.name);
            read_keys(segment);
            total_ += static_cast<std::uint64_t>(segment.end - segment.first);
        }
        if (!chain_.whole()) keys_.give_up();
        log_keys_ =
            options_.trust && !options_.trust->log_keys.empty() ? options_.trust->log_keys : keys_.log_keys();
        if (auto done = begin(); !done) return done.error();
        {
            Workers workers(threads_);
            for (Segment& segment : segments()) {
                add(check_layout(chain_, segment));
                check_checkpoints(segment, workers);
            }
        }
        check_old_events();
        for (Segment& segment : segments())
            if (static_cast<std::uint64_t>(segment.end) > since_) check(segment);
        tree_->end();
        check_end();
        add(find_repeated(chain_, context_.key, std::move(serials_), since_));
        check_gone();
        check_custodians();
        check_months();
        name_tokens(chain_, report_.problems);
        for (const auto& [from, to] : misfits_) add(name_records(chain_, from, to));
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
    void add(std::vector<Problem> problems) {
        for (Problem& problem : problems) add(std::move(problem));
    }

    std::vector<Segment>& segments() { return chain_.segments(); }
    std::string segment_of(std::uint64_t number) {
        const Segment* segment = chain_.of(number);
        return segment ? segment->name : "";
    }

    /// Who signed when, by the archive's own events.
    void read_keys(Segment& segment) {
        std::vector<RecordNumber> wanted;
        (void)segment.scan.events([&](RecordNumber number, std::string_view kind, std::string_view) {
            if (kind == "archive.key" || kind == store::archive_expired || kind == "witness.key" ||
                kind == "tac.accepted" || kind.starts_with("key.") || kind.starts_with("seal.") ||
                kind.starts_with("custody.") || kind == "programs.accepted" || kind == "import.erased" ||
                kind == "archive.restored")
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

    static std::vector<tlog::VerifierKey> of_name(const std::vector<tlog::VerifierKey>& all,
                                                  const std::string& name) {
        std::vector<tlog::VerifierKey> keys;
        for (const auto& key : all)
            if (key.name() == name) keys.push_back(key);
        return keys;
    }
    /// Those that the trust file has of this witness.
    [[nodiscard]] std::vector<tlog::VerifierKey> trusted_keys(const std::string& name) const {
        return options_.trust ? of_name(options_.trust->witnesses, name) : std::vector<tlog::VerifierKey>();
    }
    /// The keys that a witness of this name may sign with: those of the trust file, if it names it; else what
    /// the archive itself says, as it stands by now.
    std::vector<tlog::VerifierKey> witness_keys(const std::string& name, Segment& segment) {
        auto keys = trusted_keys(name);
        if (keys.empty()) keys = of_name(keys_.witness_keys(), name);
        if (!keys.empty()) return keys;
        KeyHistory newer;
        std::vector<RecordNumber> wanted;
        (void)segment.scan.events([&](RecordNumber number, std::string_view kind, std::string_view) {
            if (kind == "witness.key" && number >= segment.end) wanted.push_back(number);
        });
        for (const RecordNumber number : wanted) read_keys(segment, number, newer);
        return of_name(newer.witness_keys(), name);
    }

    /// Where the tree begins, and the heads from outside that it must have.
    Done begin() {
        const auto demand = [this](const tlog::Note& note) -> Result<tlog::TreeHead> {
            const auto checkpoint = store::signed_by(note, log_keys_);
            if (!checkpoint) return checkpoint.error();
            const auto reached = chain_.reach(checkpoint->origin);
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
            const auto end = static_cast<std::uint64_t>(segments().back().end);
            if (since_ > end) {
                object("rolled-back", segments().back().name,
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
        auto edge = edge_at(since_ ? since_ : static_cast<std::uint64_t>(segments().front().first));
        const bool known = edge.ok();
        if (!known) {
            object("tree", segments().front().name,
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
                Segment* segment = chain_.of(last);
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
        for (const Segment& segment : segments()) tree_->watch(static_cast<std::uint64_t>(segment.first));
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
                    Segment* segment = chain_.of(at);
                    auto tile = segment ? segment->scan.tile(level, position) : Result<Bytes>(Bytes());
                    if (!tile || !tile->empty()) return tile;
                }
                return Bytes();
            },
            [this](std::uint64_t number) -> Result<tlog::Hash> {
                Segment* segment = chain_.of(number);
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
            Segment* segment = chain_.of(static_cast<std::uint64_t>(number));
            if (!segment) continue;  // a row of the index that names what never was there
            const auto der = segment->scan.record(number);
            const auto proof = (*tree)->inclusion_proof(static_cast<std::uint64_t>(number), since_);
            if (!der || !*der || !proof ||
                !tlog::verify_inclusion(static_cast<std::uint64_t>(number), store::leaf_of(**der), *proof,
                                        head->head))
                object("damaged", segment->name, "it isn't the record that was signed", number);
        }
    }

    void check(Segment& segment) {
        const SegmentPass pass{context_, chain_, segment,
                               std::max(segment.first, static_cast<RecordNumber>(since_)), threads_};
        std::vector<Problem> found;
        const auto unnamed = check_segment(
            pass, [&](Stretch stretch) { take(segment.name, std::move(stretch)); }, found);
        add(std::move(found));
        for (const auto& id : unnamed) unnamed_.emplace_back(segment.name, id);
    }

    void take(const std::string& segment, Stretch stretch) {
        for (const auto& leaf : stretch.leaves) tree_->add(leaf);
        gone_.insert(gone_.end(), stretch.removed.begin(), stretch.removed.end());
        serials_.insert(serials_.end(), stretch.serials.begin(), stretch.serials.end());
        for (const auto& time : stretch.times) judge_order(segment, time);
        report_.tokens += stretch.tokens;
        report_.without_tac += stretch.without_tac;
        report_.events += stretch.events;
        report_.records += stretch.leaves.size();
        add(std::move(stretch.problems));
        done_ += stretch.leaves.size();
        if (options_.progress) options_.progress({segment, done_, total_});
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

    /// Which roots the tree must have at which sizes, as far as the segment says.
    void check_checkpoints(Segment& segment, Workers& workers) {
        HeadRules rules{segment.name,
                        segment.scan.facts().origin,
                        segment.first,
                        segment.end,
                        since_,
                        {},
                        log_keys_,
                        [&](const std::string& witness) { return witness_keys(witness, segment); },
                        [&](const std::string& witness) { return !trusted_keys(witness).empty(); }};
        if (&segment == &segments().back())
            rules.grown_to = [this](std::uint64_t size) { return chain_.grown_to(size); };
        auto found = check_heads(segment.scan, rules, workers);
        report_.checkpoints += found.checkpoints;
        add(std::move(found.problems));
        for (SignedHead& one : found.heads) {
            tree_->expect(one.head, one.seen_outside);
            notes_[one.head.size] = std::move(one.note);
        }
    }

    void check_end() {
        const auto end = static_cast<std::uint64_t>(segments().back().end);
        const std::string& newest = segments().back().name;
        if (witnessed_ && witnessed_->size > end && !chain_.grown_to(witnessed_->size))
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
        for (Segment& segment : segments()) check_beginning(segment);
    }

    /// Nothing is stamped, and no TAC issued, while records are under no checkpoint for too long: there can't
    /// be tokens, or TACs, of more time than that.
    void judge_uncovered(const std::string& newest, std::uint64_t covered) {
        while (!times_.empty() && static_cast<std::uint64_t>(times_.front().number) < covered)
            times_.pop_front();
        judge_uncovered(newest, "tokens", "nothing is stamped", times_);
        std::deque<Stretch::Time> tacs;
        store::EventQuery query;
        query.kind = "audit";
        query.first = static_cast<RecordNumber>(covered);
        const auto reader = store::ArchiveReader::open(options_.dir);
        if (!reader) return;  // told elsewhere
        const auto end = segments().back().end;
        (void)(*reader)->events(query, [&tacs, end](const store::Found& found) {
            if (found.record.number < end && found.event().value<std::string>("outcome") == "good")
                tacs.push_back({found.record.number, found.record.at_us});
            return true;
        });
        judge_uncovered(newest, "TACs", "none is issued", tacs);
    }
    void judge_uncovered(const std::string& newest, const char* what, const char* promise,
                         const std::deque<Stretch::Time>& times) {
        const auto within = keys_.covered_within_us();
        if (!within || times.empty()) return;
        const auto [first, last] =
            std::minmax_element(times.begin(), times.end(),
                                [](const auto& a, const auto& b) { return a.gen_time_us < b.gen_time_us; });
        const std::int64_t span = last->gen_time_us - first->gen_time_us;
        if (span > *within + most_late_us)
            object("checkpoint", newest,
                   what + (" of " + duration_text(span)) + " are under no checkpoint, from record " +
                       std::to_string(times.front().number) + " on; " + promise + " once it is " +
                       duration_text(*within));
    }

    /// A segment begins with the tiles of the tree's edge; those that became full since are compared
    /// elsewhere.
    void check_beginning(Segment& segment) {
        const auto first = static_cast<std::uint64_t>(segment.first);
        const auto edge = tree_->edges().find(first);
        if (edge == tree_->edges().end() || !edge->second) return;
        for (const store::Tile& tile : *edge->second) {
            const auto stored = segment.scan.tile(tile.level, tile.position);
            const bool begins = stored && stored->size() >= tile.hashes.size() &&
                                equal(View(*stored).first(tile.hashes.size()), tile.hashes);
            if (!begins)
                object("tile", segment.name,
                       "the tile " + std::to_string(tile.level) + "/" + std::to_string(tile.position) +
                           (stored && stored->empty() ? " is missing" : " isn't the one of the tree"));
        }
    }

    void check_custodians() {
        const auto reader = store::ArchiveReader::open(options_.dir);
        if (!reader) return;  // told elsewhere
        std::vector<Problem> found;
        report_.custody = check_custody(**reader, segments().back().end, report_.covered.value_or(0), found);
        add(std::move(found));
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
        for (const Segment& one : segments()) context.segments.push_back({one.name, one.first, one.end});
        std::vector<Problem> found;
        report_.seals = check_seals(context, found);
        add(std::move(found));
    }

    /// What was removed may have been.
    void check_gone() {
        std::vector<Span> spans;
        for (Segment& one : segments()) {
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
        add(std::move(found));
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
    Chain chain_;
    KeyHistory keys_;
    const CheckContext context_;
    const unsigned threads_;
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
    std::uint64_t done_ = 0;
    std::uint64_t total_ = 0;
    VerifyReport report_;
};

}  // namespace

Result<VerifyReport> verify(const VerifyOptions& options) {
    std::vector<Problem> problems;
    auto chain = Chain::open(options.dir, problems);
    if (!chain) return chain.error();
    return Verification(options, std::move(*chain), std::move(problems)).run();
}

}  // namespace kokuin::audit
