#include "store/removal.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_text.h"

namespace kokuin::store {
namespace {

using RemovalJson = nlohmann::ordered_json;

constexpr RecordNumber most_number = RecordNumber{1} << 48;
/// The year 2255: later ones don't fit into nanoseconds.
constexpr std::int64_t most_time_us = 9'000'000'000'000'000;

RemovalJson removal_json(const Removal& removal) {
    auto runs = RemovalJson::array();
    for (const Run& run : removal.runs) runs.push_back({run.first, run.last});
    RemovalJson json{{"segment", removal.segment},
                     {"kind", removal.kind},
                     {"records", count(removal.runs)},
                     {"numbers", runs},
                     {"ends_us", to_unix_us(removal.ends)}};
    if (const auto& times = removal.gen_times_us)
        json["gen_times_us"] = RemovalJson::array({times->first, times->second});
    return json;
}

/// Two numbers that don't fall.
std::optional<std::pair<std::int64_t, std::int64_t>> read_pair(const RemovalJson& json) {
    if (!json.is_array() || json.size() != 2 || !json[0].is_number_integer() || !json[1].is_number_integer())
        return std::nullopt;
    const std::pair<std::int64_t, std::int64_t> pair{json[0].get<std::int64_t>(),
                                                     json[1].get<std::int64_t>()};
    if (pair.first > pair.second) return std::nullopt;
    return pair;
}

std::optional<Removal> read_removal(const RemovalJson& json) {
    const auto has = [&json](const char* key, auto is) { return json.contains(key) && (json[key].*is)(); };
    if (!json.is_object() || !has("segment", &RemovalJson::is_string) ||
        !has("kind", &RemovalJson::is_string) || !has("numbers", &RemovalJson::is_array) ||
        !has("ends_us", &RemovalJson::is_number_integer))
        return std::nullopt;
    Removal removal;
    removal.segment = json["segment"].get<std::string>();
    removal.kind = json["kind"].get<std::string>();
    const auto ends = json["ends_us"].get<std::int64_t>();
    if (ends < 0 || ends > most_time_us) return std::nullopt;
    removal.ends = from_unix_us(ends);
    for (const auto& run : json["numbers"]) {
        const auto read = read_pair(run);
        if (!read || read->first < 0 || read->second >= most_number ||
            (!removal.runs.empty() && read->first <= removal.runs.back().last + 1))
            return std::nullopt;
        removal.runs.push_back({read->first, read->second});
    }
    if (json.contains("gen_times_us")) {
        removal.gen_times_us = read_pair(json["gen_times_us"]);
        if (!removal.gen_times_us) return std::nullopt;
    }
    if (removal.runs.empty() || (removal.kind == token_kind) != removal.gen_times_us.has_value())
        return std::nullopt;
    return removal;
}

Result<Expiry> read_expiry(ArchiveReader& reader, const Found& found) {
    const Error unreadable =
        Error::environment("segment " + found.segment + ", record " + std::to_string(found.record.number) +
                           " (" + archive_expired + "): it can't be read what it says is removed");
    if (found.event().blobs.size() != 1) return unreadable;
    const auto lines = reader.blob(found.event().blobs.front(), found.segment);
    if (!lines) return lines.error();
    auto removals = read_removal_lines(as_text(*lines));
    if (!removals) return unreadable;
    return Expiry{found.record.number, from_unix_us(found.record.at_us), found.segment, std::move(*removals)};
}

}  // namespace

bool is_removed(View stored) {
    return stored.size() == sizeof(tlog::Hash);
}

tlog::Hash leaf_of(View stored) {
    if (!is_removed(stored)) return tlog::leaf_hash(stored);
    tlog::Hash leaf{};
    std::copy(stored.begin(), stored.end(), leaf.begin());
    return leaf;
}

void add_to(std::vector<Run>& runs, RecordNumber number) {
    if (!runs.empty() && runs.back().last + 1 == number)
        runs.back().last = number;
    else
        runs.push_back({number, number});
}

std::vector<Run> joined(std::vector<Run> runs) {
    std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.first < b.first; });
    std::vector<Run> fewer;
    for (const Run& run : runs) {
        if (!fewer.empty() && fewer.back().last + 1 == run.first)
            fewer.back().last = run.last;
        else
            fewer.push_back(run);
    }
    return fewer;
}

std::int64_t count(const std::vector<Run>& runs) {
    std::int64_t sum = 0;
    for (const Run& run : runs) sum += run.last - run.first + 1;
    return sum;
}

std::string removal_lines(const std::vector<Removal>& removals) {
    std::string lines;
    for (const Removal& removal : removals) lines += json_text(removal_json(removal)) + "\n";
    return lines;
}

Result<std::vector<Removal>> read_removal_lines(std::string_view lines) {
    std::vector<Removal> removals;
    for (std::string_view rest = lines; !rest.empty();) {
        const auto end = rest.find('\n');
        auto removal = end == std::string_view::npos ? std::nullopt
                                                     : read_removal(parse_ordered_json(rest.substr(0, end)));
        if (!removal) return Error::environment("no list of removed records");
        removals.push_back(std::move(*removal));
        rest.remove_prefix(end + 1);
    }
    // Only what is written exactly so: a list has one meaning.
    if (removals.empty() || removal_lines(removals) != lines)
        return Error::environment("no list of removed records");
    return removals;
}

Event expired_event(const std::vector<Removal>& removals, const Blob& lines, const RemovalReasons& reasons) {
    Event event;
    event.kind = archive_expired;
    std::int64_t records = 0;
    std::int64_t tokens = 0;
    for (const Removal& removal : removals) {
        records += count(removal.runs);
        if (removal.kind == token_kind) tokens += count(removal.runs);
    }
    event.text = "removed after their time: " + std::to_string(records) + " records, " +
                 std::to_string(tokens) + " of them tokens";
    event.fields = {{"records", records},
                    {"tokens", tokens},
                    {"why", reasons.why},
                    {"by", reasons.by},
                    {"account", reasons.account}};
    if (!reasons.agreed_in.empty()) {
        event.fields["agreed_in"] = reasons.agreed_in;
        event.fields["custodians"] = reasons.custodians;
    }
    event.blobs = {lines.id()};
    return event;
}

Result<Removals> Removals::read(ArchiveReader& reader) {
    Removals removals;
    std::optional<Error> trouble;
    EventQuery query;
    query.kind = archive_expired;
    const auto done = reader.events(query, [&](const Found& found) {
        auto expiry = read_expiry(reader, found);
        if (!expiry) trouble = expiry.error();
        if (expiry) removals.all_.push_back(std::move(*expiry));
        return !trouble;
    });
    if (!done) return done.error();
    if (trouble) return *trouble;
    for (std::size_t i = 0; i < removals.all_.size(); ++i)
        for (std::size_t j = 0; j < removals.all_[i].removals.size(); ++j)
            for (const Run& run : removals.all_[i].removals[j].runs) removals.insert(run, i, j);
    return removals;
}

/// What of it no other run has yet.
void Removals::insert(Run run, std::size_t expiry, std::size_t removal) {
    while (run.first <= run.last) {
        if (const Entry* known = find(run.first)) {
            run.first = known->last + 1;
            continue;
        }
        const auto next = runs_.lower_bound(run.first);
        const RecordNumber last = next == runs_.end() ? run.last : std::min(run.last, next->first - 1);
        runs_.emplace(run.first, Entry{last, expiry, removal});
        run.first = last + 1;
    }
}

const Removals::Entry* Removals::find(RecordNumber number) const {
    auto at = runs_.upper_bound(number);
    if (at == runs_.begin()) return nullptr;
    --at;
    return number <= at->second.last ? &at->second : nullptr;
}

const Removal* Removals::of(RecordNumber number) const {
    const Entry* entry = find(number);
    return entry ? &all_[entry->expiry].removals[entry->removal] : nullptr;
}

std::optional<RecordNumber> Removals::said_by(RecordNumber number) const {
    const Entry* entry = find(number);
    return entry ? std::optional(all_[entry->expiry].number) : std::nullopt;
}

bool Removals::name_any(const std::vector<Run>& runs) const {
    return std::any_of(runs.begin(), runs.end(), [this](const Run& run) {
        const auto next = runs_.lower_bound(run.first);
        return find(run.first) || (next != runs_.end() && next->first <= run.last);
    });
}

const Removal* Removals::tokens_of(const std::string& segment) const {
    for (const Expiry& expiry : all_)
        for (const Removal& removal : expiry.removals)
            if (removal.kind == token_kind && removal.segment == segment) return &removal;
    return nullptr;
}

const Removal* Removals::tokens_at(std::int64_t gen_time_us) const {
    for (const Expiry& expiry : all_)
        for (const Removal& removal : expiry.removals)
            if (const auto& times = removal.gen_times_us;
                times && times->first <= gen_time_us && gen_time_us <= times->second)
                return &removal;
    return nullptr;
}

}  // namespace kokuin::store
