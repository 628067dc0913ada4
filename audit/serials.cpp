#include "audit/serials.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace kokuin::audit {

using store::RecordNumber;

std::vector<Problem> find_repeated(Chain& chain, const RowSums::Key& key, std::vector<std::uint64_t> hashes,
                                   std::uint64_t since) {
    std::vector<Problem> problems;
    if (since > 0) {
        // What isn't looked at again has serial numbers too.
        const std::unordered_set<std::uint64_t> fresh(hashes.begin(), hashes.end());
        for (Segment& segment : chain.segments())
            (void)segment.scan.serials([&](View serial, RecordNumber number) {
                const auto hash = RowSums::hash(key, serial, 0);
                if (static_cast<std::uint64_t>(number) < since && fresh.contains(hash))
                    hashes.push_back(hash);
            });
    }
    std::sort(hashes.begin(), hashes.end());
    std::unordered_set<std::uint64_t> twice;
    for (std::size_t i = 1; i < hashes.size(); ++i)
        if (hashes[i] == hashes[i - 1]) twice.insert(hashes[i]);
    if (twice.empty()) return problems;
    std::map<Bytes, std::vector<std::pair<std::string, RecordNumber>>> where;
    for (Segment& segment : chain.segments())
        (void)segment.scan.serials([&](View serial, RecordNumber number) {
            if (twice.contains(RowSums::hash(key, serial, 0)))
                where[to_bytes(serial)].emplace_back(segment.name, number);
        });
    for (const auto& [serial, places] : where)
        for (std::size_t i = 1; i < places.size(); ++i)
            problems.push_back({"serial", places[i].first, places[i].second, to_hex(serial),
                                "record " + std::to_string(places.front().second) + " of " +
                                    places.front().first + " has the same serial number"});
    return problems;
}

void name_tokens(Chain& chain, std::vector<Problem>& problems) {
    std::map<std::string, std::map<RecordNumber, std::string>> wanted;
    for (const Problem& problem : problems)
        if (problem.number && problem.serial.empty()) wanted[problem.segment][*problem.number];
    for (auto& [name, numbers] : wanted) {
        Segment* segment = chain.named(name);
        if (!segment) continue;
        (void)segment->scan.serials([&numbers = numbers](View serial, RecordNumber number) {
            if (const auto at = numbers.find(number); at != numbers.end()) at->second = to_hex(serial);
        });
    }
    for (Problem& problem : problems)
        if (problem.number && problem.serial.empty())
            problem.serial = wanted[problem.segment][*problem.number];
}

std::vector<Problem> name_records(Chain& chain, std::uint64_t from, std::uint64_t to) {
    std::vector<Problem> problems;
    const auto name = [&](const std::string& segment, RecordNumber number, std::string serial) {
        if (static_cast<std::uint64_t>(number) >= from && static_cast<std::uint64_t>(number) < to)
            problems.push_back({"tree", segment, number, std::move(serial),
                                "is among records that aren't all those that were signed"});
    };
    for (Segment& segment : chain.segments()) {
        (void)segment.scan.serials(
            [&](View serial, RecordNumber number) { name(segment.name, number, to_hex(serial)); });
        (void)segment.scan.events(
            [&](RecordNumber number, std::string_view, std::string_view) { name(segment.name, number, ""); });
    }
    return problems;
}

}  // namespace kokuin::audit
