#include "audit/report/collect.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "audit/report/course.h"
#include "audit/report/tokens.h"
#include "base/text.h"
#include "store/reader.h"
#include "store/removal.h"
#include "store/scan.h"
#include "store/tlog/note.h"
#include "tac/tac.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit::report {
namespace {

/// Records that a start writes before it says that it is one, and what operators do while nothing runs.
constexpr store::RecordNumber most_before_a_start = 1000;

std::string text_field(const store::Event& event, const std::string& key) {
    return one_line(event.value<std::string>(key), any_length);
}

bool concerns_keys(const std::string& kind) {
    return kind.starts_with("key.") || kind.starts_with("custody.") || kind == "archive.key" ||
           kind == "witness.key";
}

/// Seals, copies, removals, restores; what ran; what was lost.
bool concerns_archive(const std::string& kind) {
    const auto begins = [&](std::string_view with) { return kind.starts_with(with); };
    return begins("archive.") || begins("seal.") || begins("copy.") || begins("removal.") ||
           begins("programs.") || begins("import.") || kind == "events.lost";
}

class Collector {
  public:
    Collector(const CollectOptions& options, store::ArchiveReader& reader)
        : options_(options),
          reader_(reader),
          report_(options.month),
          course_(options.month, options.tsu,
                  [this](store::RecordNumber number) { return last_sign(number); }) {}

    Result<Report> run() {
        report_.archive = reader_.id();
        report_.origin = reader_.origin();
        report_.tsu = options_.tsu;
        report_.made = options_.now;
        if (auto done = read_events(); !done) return std::move(done).error();
        auto sizes = checkpoint_sizes();
        if (!sizes) return std::move(sizes).error();
        if (auto done = read_tokens(std::move(*sizes)); !done) return std::move(done).error();
        if (report_.last < 0)
            return Error::no(options_.dir + ": no record of " + options_.month.text() +
                             (options_.tsu.empty() ? "" : " of the TSU " + options_.tsu));
        report_.until = options_.month.end();
        report_.last_at = newest_;
        // A clock that is behind that of the archive makes no time of before its last record.
        const auto known = std::max(options_.now, newest_);
        report_.interim = known < report_.until;
        if (report_.interim) report_.until = known;
        report_.from = std::clamp(begun_.value_or(report_.until), options_.month.start(), report_.until);
        course_.finish(report_.from, report_.until, report_);
        for (const auto& [tsu, in_force] : in_force_)
            if (in_force.until < report_.until) report_.gaps.add({tsu, in_force.until, std::nullopt});
        if (auto done = read_heads(); !done) return std::move(done).error();
        return std::move(report_);
    }

  private:
    /// That a record is the archive's first, or this month's, or its last.
    void meet(const store::Record& record, WallTime at, bool in_month) {
        if (!begun_) begun_ = at;
        if (!in_month) return;
        newest_ = std::max(newest_, at);
        if (report_.first < 0 || record.number < report_.first) report_.first = record.number;
        report_.last = std::max(report_.last, record.number);
    }

    Done read_events() {
        store::EventQuery query;
        query.to = options_.month.end();
        auto done = reader_.events(query, [&](const store::Found& found) {
            const auto at = from_unix_us(found.record.at_us);
            const bool in_month = at >= options_.month.start();
            meet(found.record, at, in_month);
            take(found, at, in_month);
            return !trouble_;
        });
        return trouble_ ? Done(*trouble_) : done;
    }

    void take(const store::Found& found, WallTime at, bool in_month) {
        const auto& event = found.event();
        const auto number = found.record.number;
        course_.add(number, at, event);
        if (event.kind.starts_with("tac.") && (options_.tsu.empty() || event.subject == options_.tsu))
            audit(found, at, in_month);
        if (!in_month) return;
        ++report_.events[event.kind];
        if (event.kind == "refusals")
            refusals(at, event);
        else if (event.kind == "reference.compared")
            report_.clock.comparisons.add({at, event.value<std::int64_t>("measurements"),
                                           event.value<std::int64_t>("offset_min_us"),
                                           event.value<std::int64_t>("offset_max_us"),
                                           event.value<std::int64_t>("uncertainty_last_us")});
        else if (concerns_keys(event.kind))
            report_.keys.add(step(number, at, event));
        else if (concerns_archive(event.kind))
            report_.steps.add(step(number, at, event));
    }

    static Step step(store::RecordNumber number, WallTime at, const store::Event& event) {
        return {number,
                at,
                event.kind,
                one_line(event.subject, any_length),
                text_field(event, "key"),
                one_line(event.text, any_length)};
    }

    void refusals(WallTime at, const store::Event& event) {
        const auto days =
            static_cast<std::size_t>((options_.month.end() - options_.month.start()) / hours_of_day);
        const auto day = static_cast<std::size_t>((at - options_.month.start()) / hours_of_day);
        for (const auto& [reason, value] : event.fields) {
            const auto* count = std::get_if<std::int64_t>(&value);
            if (!count || *count < 1) continue;
            auto& row = report_.refusals.by[one_line(reason, any_length)];
            row.resize(days);
            row.at(day) += static_cast<std::uint64_t>(*count);
            report_.refusals.total += static_cast<std::uint64_t>(*count);
        }
    }

    void audit(const store::Found& found, WallTime at, bool in_month) {
        const auto& event = found.event();
        Audit row{found.record.number, at, one_line(event.subject, any_length)};
        if (event.kind == "tac.accepted") {
            row.verdict = "accepted";
        } else if (event.kind == "tac.stop") {
            row.verdict = "stop";
        } else if (event.kind == "tac.refused") {
            row.verdict = "refused";
            row.count = std::max<std::int64_t>(event.value<std::int64_t>("count"), 1);
            // Whatever came: what it says of the clock isn't believed.
            const auto der = in_month && !event.blobs.empty()
                                 ? reader_.blob(event.blobs.front(), found.segment)
                                 : Result<Bytes>(Error::no(""));
            if (const auto tac = der ? tac::decode(*der) : Error::no(""))
                row.tac = tac::serial_hex(tac->tac.serial);
        } else if (event.kind == "tac.revoked") {
            row.verdict = "taken-back";
            if (const auto* serial = event.find<std::string>("tac")) row.tac = one_line(*serial, any_length);
        } else {
            return;
        }
        if (row.verdict != "accepted") row.text = one_line(event.text, any_length);
        const auto* der = event.find<Bytes>("tac");
        const auto tac = der ? tac::decode(*der) : Error::no("");
        if (tac) {
            row.tac = tac::serial_hex(tac->tac.serial);
            row.offset_us = tac->tac.offset.count();
            row.delay_us = tac->tac.delay.count();
            if (tac->tac.max_offset) row.max_offset_us = tac->tac.max_offset->count();
            row.until = tac->tac.expiration;
        }
        if (const auto* offset = event.find<std::int64_t>("offset_ns")) row.offset_us = *offset / 1000;
        in_force(row);
        if (!in_month) return;
        report_.verdicts[row.verdict] += static_cast<std::uint64_t>(row.count);
        report_.audits.add(std::move(row));
    }

    /// Until when the TSU's TAC is in force, as of this audit, and the time without one before it.
    void in_force(const Audit& audit) {
        const auto known = in_force_.find(audit.tsu);
        if (audit.verdict == "accepted" && audit.until) {
            // A clock that was put right may make the end of an order to stop earlier than its beginning.
            if (known != in_force_.end() && (known->second.ended || known->second.until < audit.at) &&
                audit.at >= options_.month.start())
                report_.gaps.add({audit.tsu, known->second.until, std::max(audit.at, known->second.until)});
            in_force_[audit.tsu] = {*audit.until, false};
        } else if ((audit.verdict == "stop" || audit.verdict == "taken-back") && known != in_force_.end()) {
            known->second = {std::min(known->second.until, audit.at), true};
        }
    }

    std::optional<std::pair<store::RecordNumber, WallTime>> last_sign(store::RecordNumber start) {
        for (auto number = start - 1; number >= 0 && start - number <= most_before_a_start; --number) {
            const auto found = reader_.record(number);
            // Removed after its time: when there was a sign of life isn't known.
            if (!found && found.error().kind == Error::Kind::no) return std::nullopt;
            if (!found) {
                trouble_ = found.error();
                return std::nullopt;
            }
            const auto* event = std::get_if<store::Event>(&found->record.body);
            if (!event || Course::is_sign_of_life(event->kind))
                return std::pair(number, from_unix_us(found->record.at_us));
        }
        return std::nullopt;
    }

    /// Names of the segments that may hold records of the month: its own, the one before, which goes on until
    /// another begins, and the one after, where what waited may stand.
    [[nodiscard]] Result<std::vector<std::string>> segments() const {
        auto names = store::segments_in(options_.dir);
        if (!names) return names;
        const auto month = options_.month.text();
        const auto own = std::lower_bound(names->begin(), names->end(), month);
        auto after = std::upper_bound(names->begin(), names->end(), month);
        if (after != names->end()) ++after;
        return std::vector<std::string>(own == names->begin() ? own : own - 1, after);
    }

    [[nodiscard]] Result<std::vector<std::int64_t>> checkpoint_sizes() const {
        const auto names = segments();
        if (!names) return names.error();
        std::vector<std::int64_t> sizes;
        for (const auto& name : *names) {
            auto scan = store::SegmentScan::open(options_.dir, name);
            if (!scan) return scan.error();
            auto done =
                scan->checkpoints([&](std::int64_t size, const std::string&) { sizes.push_back(size); });
            if (!done) return std::move(done).error();
        }
        std::sort(sizes.begin(), sizes.end());
        return sizes;
    }

    Done read_tokens(std::vector<std::int64_t> sizes) {
        Tokens tokens(options_.month, std::move(sizes));
        store::Query query;
        query.from = options_.month.start();
        query.to = options_.month.end();
        if (!options_.tsu.empty()) query.tsu = options_.tsu;
        auto done = reader_.find(query, [&](const store::Found& found) {
            meet(found.record, from_unix_us(found.issuance().gen_time_us), true);
            tokens.add(found);
            if (tokens.is_sample()) sample(found);
            return !trouble_;
        });
        if (trouble_) return *trouble_;
        tokens.finish(report_);
        return done;
    }

    void sample(const store::Found& found) {
        const auto shown = reader_.show(found.issuance().serial);
        if (!shown) {
            trouble_ = shown.error();
            return;
        }
        // One that can't be read is for verify to tell.
        const auto token = tsp::parse_token(shown->token, tsp::TokenCertificates::skip);
        if (token && token->tst_info.accuracy)
            report_.clock.accuracy_us[found.issuance().policy].insert(token->tst_info.accuracy->count());
    }

    Done read_heads() {
        const auto names = segments();
        if (!names) return names.error();
        auto& heads = report_.integrity;
        const auto belongs = [this](std::int64_t size) {
            return size > report_.first && size <= report_.last + 1;
        };
        std::int64_t covered = 0;
        for (const auto& name : *names) {
            auto scan = store::SegmentScan::open(options_.dir, name);
            if (!scan) return scan.error();
            auto done = scan->checkpoints([&](std::int64_t size, const std::string& note) {
                covered = std::max(covered, size);
                if (!belongs(size)) return;
                ++heads.checkpoints;
                heads.head_size = static_cast<std::uint64_t>(size);
                heads.head_note = note;
            });
            if (done)
                done = scan->cosignatures(
                    [&](std::int64_t size, const std::string& witness, const std::string&) {
                        if (belongs(size)) ++heads.cosignatures[one_line(witness, any_length)];
                    });
            if (!done) return done;
        }
        const auto removals = store::Removals::read(reader_);
        if (!removals) return removals.error();
        for (const auto& expiry : removals->all())
            for (const auto& removal : expiry.removals) {
                const bool own = removal.segment.starts_with(options_.month.text());
                if (own) heads.removed += count(removal.runs);
                if ((own || removal.segment < options_.month.text()) && Course::follows_from(removal.kind))
                    heads.unknown_for.insert(removal.kind);
            }
        if (!heads.unknown_for.empty()) {
            report_.outages = {};
            report_.availability.clear();
        }
        if (covered <= report_.last)
            heads.uncovered = static_cast<std::uint64_t>(report_.last + 1 - std::max(covered, report_.first));
        if (const auto note = tlog::Note::parse(heads.head_note))
            if (const auto checkpoint = tlog::Checkpoint::parse(note->text))
                heads.head_root = to_base64(checkpoint->head.root);
        return {};
    }

    static constexpr nanoseconds hours_of_day = std::chrono::hours(24);

    const CollectOptions& options_;
    store::ArchiveReader& reader_;
    Report report_;
    Course course_;
    struct InForce {
        WallTime until{};
        bool ended = false;  // before its time
    };
    std::map<std::string, InForce> in_force_;  // by TSU
    std::optional<WallTime> begun_;
    WallTime newest_ = WallTime::min();
    std::optional<Error> trouble_;
};

}  // namespace

Result<Report> collect(const CollectOptions& options) {
    auto reader = store::ArchiveReader::open(options.dir);
    if (!reader) return std::move(reader).error();
    return Collector(options, **reader).run();
}

}  // namespace kokuin::audit::report
