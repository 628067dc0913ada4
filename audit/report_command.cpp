#include "audit/report_command.h"

#include <optional>
#include <ostream>
#include <utility>

#include "audit/report/collect.h"
#include "audit/report/present.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/text.h"
#include "store/scan.h"

namespace kokuin::audit {
namespace {

/// The archive's newest checkpoint over nothing but records below `first`.
std::optional<tlog::Note> checkpoint_before(const std::string& dir, store::RecordNumber first) {
    const auto names = store::segments_in(dir);
    if (!names) return std::nullopt;
    std::int64_t best = 0;
    std::string note;
    // Newest segment first; what can't be read is for the verification to tell.
    for (auto name = names->rbegin(); name != names->rend() && best == 0; ++name) {
        auto scan = store::SegmentScan::open(dir, *name);
        if (!scan || scan->facts().first > first) continue;
        (void)scan->checkpoints([&](std::int64_t size, const std::string& text) {
            if (size > best && size <= first) {
                best = size;
                note = text;
            }
        });
    }
    auto parsed = tlog::Note::parse(note);
    return parsed ? std::optional(std::move(*parsed)) : std::nullopt;
}

Result<report::Verified> verified(const ReportArguments& arguments, const report::Report& month) {
    VerifyOptions options;
    options.dir = arguments.archive;
    std::optional<Trust> trust;
    if (!arguments.trust.empty()) {
        auto loaded = load_trust(arguments.trust);
        if (!loaded) return std::move(loaded).error();
        trust = std::move(*loaded);
        options.trust = &*trust;
    }
    options.since = checkpoint_before(arguments.archive, month.first);
    auto report = verify(options);
    if (!report && options.since) {
        // A checkpoint that nobody believes is no place to begin.
        options.since.reset();
        report = verify(options);
    }
    if (!report) return std::move(report).error();
    report::Verified said;
    said.ok = report->ok();
    said.anchored = report->anchored;
    said.not_anchored_because = report->not_anchored_because;
    said.records = report->records;
    said.tokens = report->tokens;
    if (options.since)
        if (const auto checkpoint = tlog::Checkpoint::parse(options.since->text))
            said.since = checkpoint->head.size;
    for (const auto& problem : report->problems)
        said.problems.add({problem.kind, problem.segment, problem.number, problem.serial,
                           one_line(problem.detail, any_length)});
    said.problems.left_out += report->more_problems;
    return said;
}

}  // namespace

Done write_report(const ReportArguments& arguments, std::ostream& out) {
    if (arguments.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    const auto month = Month::parse(arguments.month);
    if (!month) return Error(month.error()).in("--month");
    auto report = report::collect({arguments.archive, *month, arguments.tsu, SystemWallClock().now()});
    if (!report) return std::move(report).error();
    if (!arguments.no_verify) {
        auto said = verified(arguments, *report);
        if (!said) return std::move(said).error();
        report->verified = std::move(*said);
    }
    const auto language = arguments.language == "ja" ? page::Language::ja : page::Language::en;
    const auto text = arguments.json ? report::to_json(*report) + "\n" : report::to_html(*report, language);
    if (arguments.out.empty()) {
        out << text;
    } else if (auto done = write_file(arguments.out, as_view(text)); !done) {
        return done;
    }
    if (report->verified && !report->verified->ok)
        return Error::no(arguments.archive + ": not whole, see the report: keep it, restore a copy");
    return {};
}

}  // namespace kokuin::audit
