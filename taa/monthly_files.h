// Where monthly reports are kept: in the TAA's archive (event "report.made"), and as files to be handed on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/archive.h"
#include "store/reader.h"
#include "taa/monthly_present.h"
#include "taa/monthly_report.h"

namespace kokuin::taa {

/// A report as octets, for three files.
struct ReportFiles {
    std::string month;  ///< "2026-11"
    std::string tsa;
    bool interim = false;
    std::string json;
    std::string html_en;
    std::string html_ja;

    [[nodiscard]] const std::string& html(Language language) const;
    /// "2026-11-TSA", "2026-11-TSA.interim": what its file names begin with. Of the TSA's name a–z, A–Z, 0–9,
    /// '-', '_' are taken; where that is not all of it, a digest of the whole name follows.
    [[nodiscard]] std::string stem() const;
};
/// Pure.
ReportFiles render(const MonthlyReport& report);

/// Writes .en.html, .ja.html and .json into `dir`, which is made if it is missing (its parent not). The
/// paths, in that order.
Result<std::vector<std::string>> write_reports(const ReportFiles& files, const std::string& dir);

/// What the archive keeps of the month and TSA of `report`, if it knows all that `report` does; nothing
/// otherwise. (One that was made too early, by a clock that was ahead, is out of date as soon as the month
/// goes on.)
Result<std::optional<ReportFiles>> kept_report(store::ArchiveReader& archive, const MonthlyReport& report);

/// Keeps a report, durably: the event "report.made" about the TSA with the fields month, tsa, html_en_sha256,
/// html_ja_sha256, json_sha256 (hex) and those three files as blobs, in this order. An interim report is
/// refused (usage).
Result<store::RecordNumber> keep(store::Archive& archive, WallTime now, const ReportFiles& files);

}  // namespace kokuin::taa
