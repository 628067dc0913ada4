#include "audit/seal_check.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "audit/work.h"
#include "evidence/seal.h"
#include "store/log_keys.h"
#include "store/reader.h"
#include "store/tree_reader.h"

namespace kokuin::audit {
namespace {

/// Compares the roots that a seal has of each group with those of the tokens that are there.
void check_groups(const SealContext& context, const evidence::Seal& seal, const store::Removals& removals,
                  const std::function<void(std::string)>& object) {
    const auto& month = seal.month;
    std::vector<std::unique_ptr<evidence::TokenReader>> readers(context.threads);
    std::vector<std::string> found(month.grouping().groups());
    Workers workers(context.threads);
    for (std::size_t group = 0; group < found.size(); ++group)
        workers.add([&, group](unsigned worker) {
            if (!readers[worker]) {
                auto opened = evidence::TokenReader::open(context.dir, seal.segment, removals);
                if (!opened) {
                    found[group] = opened.error().text;
                    return;
                }
                readers[worker] = std::move(*opened);
            }
            const auto begin = month.grouping().begin_of(group);
            const auto end = month.grouping().begin_of(group + 1);
            const auto tokens = readers[worker]->tokens(begin, end);
            if (!tokens) {
                found[group] = tokens.error().text;
                return;
            }
            for (std::size_t i = 0; i < month.layers().size(); ++i)
                if (month.group_root(i, month.layers()[i].hash, *tokens) != month.layers()[i].groups[group])
                    found[group] = "the tokens of the records " + std::to_string(begin) + " to " +
                                   std::to_string(end - 1) + " aren't those that were time-stamped";
        });
    workers.wait();
    for (std::string& text : found)
        if (!text.empty()) object(std::move(text));
}

/// The first moment after the month of a segment ("2026-10", "2026-10.02").
WallTime end_of_month(const std::string& segment) {
    const int year = std::atoi(segment.substr(0, 4).c_str());
    const int month = segment.size() > 6 ? std::atoi(segment.substr(5, 2).c_str()) : 1;
    const std::chrono::year_month next =
        std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) + std::chrono::months(1);
    return WallTime(std::chrono::sys_days(next / std::chrono::day(1)).time_since_epoch());
}

/// Whoever has rewritten a month can't have it time-stamped when it ended any more.
template <typename ObjectTo>
void check_in_time(const SealContext& context, const std::vector<SealedMonth>& months,
                   const store::Removals& removals, const ObjectTo& object_to) {
    const auto within = *context.trust->sealed_within;
    const auto now = SystemWallClock().now();
    for (std::size_t i = 0; i + 1 < context.segments.size(); ++i) {
        const std::string& segment = context.segments[i].name;
        // Its seal may have been removed with its tokens.
        if (removals.tokens_of(segment)) continue;
        const auto latest = end_of_month(segment) + within;
        const auto month = std::find_if(months.begin(), months.end(), [&segment](const SealedMonth& one) {
            return one.segment == segment && one.time_stamps > 0;
        });
        if (month != months.end() ? month->since > latest : now > latest)
            object_to(segment)("no other organisation had time-stamped it by " + to_rfc3339(latest, 0) +
                               " (sealed_within)");
    }
}

}  // namespace

std::vector<SealedMonth> check_seals(const SealContext& context, std::vector<Problem>& problems) {
    std::vector<SealedMonth> months;
    const auto object_to = [&problems](const std::string& segment) {
        return [&problems, segment](std::string detail) {
            problems.push_back({"seal", segment, std::nullopt, "", std::move(detail)});
        };
    };
    auto reader = store::ArchiveReader::open(context.dir);
    // Those that were there when the look began.
    const auto end = context.segments.empty() ? store::RecordNumber(0) : context.segments.back().end;
    auto seals = reader ? evidence::read_seals(**reader, end) : Result<evidence::Seals>(reader.error());
    auto tree = store::TreeReader::open(context.dir);
    if (!seals || !tree) {
        object_to("")(seals ? tree.error().text : seals.error().text);
        return months;
    }
    evidence::Believed believed;
    if (context.trust) {
        believed.anchors = context.trust->seal_anchors;
        believed.certificates = context.trust->certificates;
    }
    for (const auto& [segment, fault] : seals->faulty) object_to(segment)(fault);
    for (const evidence::Seal& seal : seals->good) {
        const auto object = object_to(seal.segment);
        const auto& month = seal.month;
        const auto segment = std::find_if(context.segments.begin(), context.segments.end(),
                                          [&](const auto& one) { return one.name == seal.segment; });
        if (segment == context.segments.end()) {
            object("it is sealed, but isn't there");
            continue;
        }
        if (month.grouping().first != segment->first || month.grouping().end != segment->end) {
            object("its seal is of the records " + std::to_string(month.grouping().first) + " to " +
                   std::to_string(month.grouping().end - 1) + ", which aren't the month's");
            continue;
        }
        if (const auto head = (*tree)->head(seal.head.size); !head || *head != seal.head)
            object("what is there of the tree isn't what the month was sealed over");
        const std::string text = as_text(month.head());
        if (!context.log_keys.empty()) {
            const auto note = tlog::Note::parse(text);
            const auto checkpoint =
                note ? store::signed_by(*note, context.log_keys) : Result<tlog::Checkpoint>(note.error());
            if (!checkpoint) object("the checkpoint of its seal: " + checkpoint.error().text);
        }
        if (seal.kinds) {
            auto scan = store::SegmentScan::open(context.dir, seal.segment);
            const auto now =
                scan ? evidence::kinds_of(*scan, seals->removals) : Result<evidence::Kinds>(scan.error());
            if (!now) {
                object(now.error().text);
            } else {
                for (std::string& line : evidence::differences(*seal.kinds, *now)) object(std::move(line));
            }
        }
        SealedMonth sealed{seal.segment, 0, {}, seal.until, "", {}};
        if (!month.layers().empty()) {
            if (static_cast<std::uint64_t>(segment->end) > context.since)
                check_groups(context, seal, seals->removals, object);
            // Whether the newest one still holds is told, not objected to: nobody has changed anything.
            // (Recorded times have microseconds; a genTime may have more digits.)
            auto verdict = evidence::check(month.evidence_of_head(), month.head(), believed,
                                           seal.stamped + microseconds(1));
            for (std::string& fault : verdict.faults) object(std::move(fault));
            sealed.gaps = std::move(verdict.gaps);
            for (const auto& one : verdict.stamps)
                if (context.is_own(to_hex(pki::digest(pki::Hash::sha256, one.spki))))
                    object("a time-stamp of " + to_rfc3339(one.time) +
                           " is signed by a TSU of this archive, which is nobody else");
            if (verdict.faults.empty()) {
                const auto& newest = verdict.stamps.back();
                if (to_unix_us(newest.time) != to_unix_us(seal.stamped) || newest.until != seal.until)
                    object("its newest time-stamp isn't of the time that was recorded");
                sealed.time_stamps = verdict.stamps.size();
                sealed.since = verdict.stamps.front().time;
                sealed.tsa = verdict.stamps.front().tsa;
            }
        }
        months.push_back(std::move(sealed));
    }
    if (context.trust && context.trust->sealed_within)
        check_in_time(context, months, seals->removals, object_to);
    return months;
}

}  // namespace kokuin::audit
