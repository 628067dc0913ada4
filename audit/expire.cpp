#include "audit/expire.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/json_text.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "store/removal.h"
#include "store/retention.h"

namespace kokuin::audit {
namespace {

using ExpireJson = nlohmann::ordered_json;

Result<std::unique_ptr<store::ArchiveReader>> open_for_expire(const ExpireArguments& arguments) {
    if (arguments.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    return store::ArchiveReader::open(arguments.archive);
}

store::EventSource events_of(store::ArchiveReader& reader) {
    return [&reader](const store::EventQuery& query, const store::Visitor& visit) {
        return reader.events(query, visit);
    };
}

template <typename T>
ExpireJson number_or_null(const std::optional<T>& value) {
    return value ? ExpireJson(*value) : ExpireJson(nullptr);
}

ExpireJson end_or_null(const std::optional<WallTime>& time) {
    return time ? ExpireJson(to_rfc3339(*time, 0)) : ExpireJson(nullptr);
}

/// Of one segment: what was removed of each kind.
using Gone = std::map<std::string, std::int64_t>;

Gone gone_of(const store::Removals& removals, const std::string& segment) {
    Gone gone;
    for (const auto& expiry : removals.all())
        for (const auto& removal : expiry.removals)
            if (removal.segment == segment) gone[removal.kind] += count(removal.runs);
    return gone;
}

ExpireJson segment_json(const ExpiringSegment& segment, const Gone& gone) {
    auto kinds = ExpireJson::array();
    for (const auto& [kind, one] : segment.kinds) {
        const auto& rule = store::retention_of(kind);
        kinds.push_back({{"kind", kind},
                         {"years", rule.years},
                         {"listed", !rule.kind.empty()},
                         {"records", one.records},
                         {"stay", one.stay},
                         {"past", one.past},
                         {"first_past", number_or_null(one.first_past)},
                         {"last_past", number_or_null(one.last_past)},
                         {"ends", end_or_null(one.ends)}});
    }
    return {{"segment", segment.segment},
            {"records", segment.records()},
            {"past", segment.past()},
            {"ends", end_or_null(segment.ends())},
            {"kinds", kinds},
            {"removed", gone}};
}

void print_segment(const ExpiringSegment& segment, WallTime at, std::ostream& out) {
    const auto past = segment.past();
    out << segment.segment << ": " << past << " of " << segment.records()
        << " records have passed their time";
    if (const auto ends = segment.ends())
        out << (*ends <= at ? "; the whole month may go, since " : "; the whole month may go from ")
            << to_rfc3339(*ends, 0) << '\n';
    else
        out << "; some have no end\n";
    for (const auto& [kind, one] : segment.kinds)
        if (one.past > 0)
            out << "  " << one_line(kind, 64) << ": " << one.past << " of " << one.records << ", numbers "
                << *one.first_past << " to " << *one.last_past << ", kept for "
                << store::retention_of(kind).years << " years\n";
}

}  // namespace

Result<std::vector<ExpiringSegment>> expiring(store::ArchiveReader& reader, WallTime at) {
    return store::expiring(reader, at, [](View der) -> Result<WallTime> {
        const auto certificate = pki::Certificate::from_der(der);
        if (!certificate) return certificate.error();
        return certificate->not_after();
    });
}

Done list_expired(const ExpireArguments& arguments, std::ostream& out) {
    auto at = SystemWallClock().now();
    if (!arguments.at.empty()) {
        const auto given = from_rfc3339(arguments.at);
        if (!given)
            return Error::usage("--at: \"" + one_line(arguments.at, 64) +
                                "\" is no date or time: give 2036-11-23 or 2036-11-23T12:00:00Z (RFC 3339)");
        at = *given;
    }
    auto reader = open_for_expire(arguments);
    if (!reader) return reader.error();
    const auto segments = expiring(**reader, at);
    if (!segments) return segments.error();
    const auto removals = store::Removals::read(**reader);
    if (!removals) return removals.error();
    auto imports = store::look_at_imports(events_of(**reader), nullptr, at);
    if (!imports) return imports.error();
    std::erase_if(imports->imports, [](const store::ImportView& one) { return !one.past; });
    if (arguments.json) {
        auto list = ExpireJson::array();
        for (const auto& segment : *segments)
            list.push_back(segment_json(segment, gone_of(*removals, segment.segment)));
        out << json_text(ExpireJson{{"at", to_rfc3339(at, 0)},
                                    {"segments", list},
                                    {"imports", parse_ordered_json(imports_json(*imports))["imports"]}})
            << '\n';
        return {};
    }
    bool any = !imports->imports.empty();
    for (const auto& segment : *segments) {
        for (const auto& [kind, records] : gone_of(*removals, segment.segment))
            out << segment.segment << ": removed after their time: " << records << ' ' << one_line(kind, 64)
                << '\n';
        if (segment.past() == 0) continue;
        print_segment(segment, at, out);
        any = true;
    }
    if (!imports->imports.empty()) out << "imports:\n" << store::imports_text(imports_json(*imports));
    if (!any) out << "nothing has passed its time at " << to_rfc3339(at, 0) << '\n';
    return {};
}

Done list_imports(const ExpireArguments& arguments, std::ostream& out) {
    auto reader = open_for_expire(arguments);
    if (!reader) return reader.error();
    const store::PersonalFolder folder(arguments.personal);
    const auto seen = store::look_at_imports(
        events_of(**reader), arguments.personal.empty() ? nullptr : &folder, SystemWallClock().now());
    if (!seen) return seen.error();
    const auto json = imports_json(*seen);
    if (arguments.json)
        out << json << '\n';
    else
        out << store::imports_text(json);
    if (!seen->ok()) return Error::no(arguments.personal + ": not all is as it was imported, see above");
    return {};
}

}  // namespace kokuin::audit
