#include "taa/monthly_files.h"

#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "pki/hash.h"

namespace kokuin::taa {
namespace {

constexpr std::string_view kind = "report.made";

std::string sha256(std::string_view text) {
    return to_hex(pki::digest(pki::Hash::sha256, as_view(text)));
}

bool says(const store::Event& event, const std::string& key, const std::string& value) {
    const auto* text = event.find<std::string>(key);
    return text && *text == value;
}

}  // namespace

const std::string& ReportFiles::html(Language language) const {
    return language == Language::en ? html_en : html_ja;
}

std::string ReportFiles::stem() const {
    std::string safe;
    for (const char c : tsa) {
        const bool taken = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_';
        if (taken) safe += c;
    }
    // Two names may have the same letters in common; a file name has an end.
    constexpr std::size_t longest = 60;
    if (safe != tsa || safe.size() > longest)
        safe = safe.substr(0, longest) + (safe.empty() ? "" : "-") + sha256(tsa).substr(0, 8);
    return month + "-" + safe + (interim ? ".interim" : "");
}

ReportFiles render(const MonthlyReport& report) {
    return {report.month.text(),
            report.tsa,
            report.interim,
            to_json(report) + "\n",
            to_html(report, Language::en),
            to_html(report, Language::ja)};
}

Result<std::vector<std::string>> write_reports(const ReportFiles& files, const std::string& dir) {
    namespace fs = std::filesystem;
    std::error_code trouble;
    fs::create_directory(dir, trouble);
    if (trouble || !fs::is_directory(dir, trouble))
        return Error::environment(dir + ": can't be made a folder for reports" +
                                  (trouble ? ": " + trouble.message() : "") + "; see [report] dir");
    std::vector<std::string> paths;
    const std::pair<const char*, const std::string*> all[] = {
        {".en.html", &files.html_en}, {".ja.html", &files.html_ja}, {".json", &files.json}};
    for (const auto& [ending, content] : all) {
        auto path = (fs::path(dir) / (files.stem() + ending)).string();
        if (auto done = write_file(path, as_view(*content)); !done) return std::move(done).error();
        paths.push_back(std::move(path));
    }
    return paths;
}

Result<std::optional<ReportFiles>> kept_report(store::ArchiveReader& archive, const MonthlyReport& report) {
    const auto month = report.month.text();
    std::optional<store::Event> found;
    store::EventQuery query;
    query.kind = kind;
    query.subject = report.tsa;
    if (auto done = archive.events(query,
                                   [&](const store::Found& one) {
                                       if (one.record.number > report.last_record &&
                                           says(one.event(), "month", month))
                                           found = one.event();
                                       return !found;
                                   });
        !done)
        return std::move(done).error();
    if (!found) return std::optional<ReportFiles>();
    if (found->blobs.size() != 3)
        return Error::environment("the archive's report of " + month + " has other files than three");
    ReportFiles files{month, report.tsa, false, "", "", ""};
    std::string* const contents[] = {&files.html_en, &files.html_ja, &files.json};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto content = archive.blob(found->blobs[i]);
        if (!content) return content.error();
        *contents[i] = as_text(*content);
    }
    return std::optional(std::move(files));
}

Result<store::RecordNumber> keep(store::Archive& archive, WallTime now, const ReportFiles& files) {
    if (files.interim) return Error::usage("an interim report isn't kept");
    const auto blob = [](const std::string& text) {
        const auto view = as_view(text);
        return store::Blob(Bytes(view.begin(), view.end()));
    };
    const std::vector<store::Blob> blobs{blob(files.html_en), blob(files.html_ja), blob(files.json)};
    store::Event event;
    event.kind = kind;
    event.subject = files.tsa;
    event.text = "monthly report of " + files.month + " for " + files.tsa;
    event.fields["month"] = files.month;
    event.fields["tsa"] = files.tsa;
    event.fields["html_en_sha256"] = to_hex(blobs[0].id());
    event.fields["html_ja_sha256"] = to_hex(blobs[1].id());
    event.fields["json_sha256"] = to_hex(blobs[2].id());
    for (const auto& one : blobs) event.blobs.push_back(one.id());
    return archive.append(now, event, blobs);
}

}  // namespace kokuin::taa
