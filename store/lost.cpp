#include "store/lost.h"

#include <map>
#include <utility>

#include "store/context.h"
#include "store/scan.h"

namespace kokuin::store {
namespace {

/// More that nobody has read than a witness can have missed between two visits.
constexpr RecordNumber most_unread = 10'000'000;

void take(LostRecord& into, View der, Contexts& contexts, SegmentScan& scan) {
    const auto record = decode_bare(der);
    if (!record) return;
    if (const auto* own = std::get_if<OwnIssuance>(&record->body)) {
        into.serial = to_hex(index_keys(*own).serial);
        into.gen_time_us = own->gen_time_us;
        const auto common = contexts.find(own->context, [&](const BlobId& id) { return scan.blob(id); });
        if (common) into.tsu = (*common)->tsu;
    } else {
        into.event = std::get<Event>(record->body).kind;
    }
}

}  // namespace

Result<Left> read_lost(const std::string& dir, const std::string& id, RecordNumber from) {
    const auto names = segments_in(dir);
    if (!names) return names.error();
    Left left;
    std::map<RecordNumber, LostRecord> found;
    const auto at = [&](RecordNumber number) -> LostRecord& {
        auto& record = found[number];
        record.number = number;
        return record;
    };
    for (const std::string& name : *names) {
        auto scan = SegmentScan::open(dir, name);
        if (!scan) {
            left.troubles.push_back(scan.error().text);
            continue;
        }
        if (scan->facts().archive != id)
            return Error::no(dir + ": the segment " + name + " is of another archive than the copy");
        const auto last = scan->last();
        // Numbers that the archive can't have reached are damage too.
        const RecordNumber end =
            last ? std::max(*last + 1, from) : std::max(scan->facts().first, from) + most_unread;
        const auto in_reach = [&](RecordNumber number) { return number >= from && number < end; };
        const auto tell = [&](const Done& done) {
            if (!done) left.troubles.push_back(done.error().text);
        };
        // The index first: it may still say what a page of records doesn't, and a record knows better.
        tell(scan->serials([&](View serial, RecordNumber number) {
            if (in_reach(number)) at(number).serial = to_hex(serial);
        }));
        tell(scan->times([&](std::int64_t gen_time_us, RecordNumber number) {
            if (in_reach(number)) at(number).gen_time_us = gen_time_us;
        }));
        tell(scan->events([&](RecordNumber number, std::string_view kind, std::string_view) {
            if (in_reach(number)) at(number).event = kind;
        }));
        RecordNumber next = from;
        Contexts contexts;
        const auto read = scan->records(from, end - 1, [&](RecordNumber number, View der) {
            if (!in_reach(number)) return;
            take(at(number), der, contexts, *scan);
            next = number + 1;
        });
        if (read) continue;
        left.troubles.push_back(read.error().text);
        // Beyond the damage one by one, as far as the index knows of any.
        for (const auto& [number, unused] : std::map(found.lower_bound(next), found.end()))
            if (const auto der = scan->record(number); der && *der) take(at(number), **der, contexts, *scan);
    }
    for (auto& [number, record] : found) left.records.push_back(std::move(record));
    return left;
}

void add_unread(std::vector<LostRecord>& lost, RecordNumber from, RecordNumber to) {
    std::map<RecordNumber, LostRecord> all;
    for (LostRecord& one : lost) all.emplace(one.number, std::move(one));
    for (RecordNumber number = from; number < to; ++number) all[number].number = number;
    lost.clear();
    for (auto& [number, record] : all) lost.push_back(std::move(record));
}

}  // namespace kokuin::store
