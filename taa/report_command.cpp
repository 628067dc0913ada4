#include "taa/report_command.h"

#include <algorithm>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "store/archive.h"
#include "store/lock.h"
#include "taa/monthly_files.h"

namespace kokuin::taa {
namespace {

/// Keeps it if it is finished and nobody else writes; otherwise the notes say why not.
Done keep_if_possible(const Settings& settings, WallTime now, const ReportFiles& files, std::ostream& notes) {
    const auto what = "the report of " + files.month + " for " + one_line(files.tsa, any_length);
    if (files.interim) {
        notes << what << " is interim and not kept: the month is not over\n";
        return {};
    }
    if (const auto lock = store::Lock::take(settings.archive); !lock) {
        const bool last = files.month == Month::of(now - month_settles).previous().text();
        const auto why = one_line(lock.error().text, any_length);
        notes << what << " is not kept in the archive now: "
              << (last ? "taad keeps the report of the last month by itself (" + why + ")" : why) << '\n';
        return {};
    }
    auto archive = store::Archive::open(settings.archive);
    if (!archive) return std::move(archive).error();
    const auto number = keep(**archive, now, files);
    if (!number) return number.error();
    return {};
}

std::string listed(const std::vector<MonthlyReport>& reports) {
    std::string out;
    for (const auto& report : reports) out += (out.empty() ? "" : ", ") + report.tsa;
    return out;
}

}  // namespace

Result<int> report(const Settings& settings, const ReportArguments& arguments, WallTime now,
                   std::ostream& out, std::ostream& notes) {
    const auto month = Month::parse(arguments.month);
    if (!month) return month.error();
    auto reader = store::ArchiveReader::open(settings.archive);
    if (!reader) return std::move(reader).error();
    auto reports = collect(**reader, configured_tsus(settings), *month, now);
    if (!reports) return std::move(reports).error();
    if (!arguments.tsa.empty()) {
        const auto all = listed(*reports);
        std::erase_if(*reports, [&](const MonthlyReport& one) { return one.tsa != arguments.tsa; });
        if (reports->empty())
            return Error::usage("--tsa '" + arguments.tsa + "': no such TSA in " + month->text() +
                                "; allowed: " + all);
    }
    if (!arguments.html.empty() && reports->size() > 1)
        return Error::usage("--html is one file; choose one TSA with --tsa; allowed: " + listed(*reports));

    for (const auto& one : *reports) {
        auto kept = kept_report(**reader, one);
        if (!kept) return std::move(kept).error();
        const ReportFiles files = *kept ? std::move(**kept) : render(one);
        const auto paths = write_reports(files, settings.reports);
        if (!paths) return paths.error();
        if (!arguments.html.empty())
            if (auto done = write_file(arguments.html, as_view(files.html(arguments.language))); !done)
                return std::move(done).error();
        if (!*kept)
            if (auto done = keep_if_possible(settings, now, files, notes); !done)
                return std::move(done).error();
        if (arguments.json) {
            out << files.json;
            continue;
        }
        for (const auto& path : *paths) out << path << '\n';
    }
    return 0;
}

}  // namespace kokuin::taa
