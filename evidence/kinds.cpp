#include "evidence/kinds.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/der.h"
#include "pki/hash.h"

namespace kokuin::evidence {
namespace {

using store::RecordNumber;

Kind kind_of(std::vector<RecordNumber> numbers) {
    // Removed ones may be named more than once.
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    Bytes octets;
    octets.reserve(numbers.size() * 8);
    for (const RecordNumber number : numbers)
        for (unsigned shift = 64; shift > 0; shift -= 8)
            octets.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> (shift - 8)));
    Kind kind{static_cast<std::int64_t>(numbers.size()), {}};
    pki::digest(pki::Hash::sha256, octets, kind.numbers);
    return kind;
}

}  // namespace

Result<Kinds> kinds_of(store::SegmentScan& scan, const store::Removals& removals) {
    std::map<std::string, std::vector<RecordNumber>> numbers;
    const auto read = scan.events([&](RecordNumber number, std::string_view kind, std::string_view) {
        numbers[std::string(kind)].push_back(number);
    });
    if (!read) return read.error();
    const auto last = scan.last();
    if (!last) return last.error();
    for (const store::Expiry& expiry : removals.all())
        for (const store::Removal& removal : expiry.removals) {
            if (removal.segment != scan.facts().name || removal.kind == store::token_kind) continue;
            // A list that names what the month hasn't got is objected to as such.
            for (const store::Run& run : removal.runs)
                for (auto number = std::max(run.first, scan.facts().first);
                     number <= std::min(run.last, *last); ++number)
                    numbers[removal.kind].push_back(number);
        }
    Kinds kinds;
    for (auto& [kind, of] : numbers) kinds.emplace(kind, kind_of(std::move(of)));
    return kinds;
}

Bytes encode_kinds(const Kinds& kinds) {
    Bytes list;
    for (const auto& [name, kind] : kinds)
        append(list, der::sequence({der::utf8(name), der::integer(kind.count), der::octets(kind.numbers)}));
    return der::tlv(der::sequence_tag, list);
}

Result<Kinds> decode_kinds(View input) {
    der::Reader outer(input);
    der::Reader list = outer.enter(der::sequence_tag, "kinds");
    Kinds kinds;
    while (!list.at_end()) {
        der::Reader one = list.enter(der::sequence_tag, "a kind");
        std::string name = one.read_utf8("its name");
        Kind kind;
        kind.count = one.read_int64("how many");
        const Bytes numbers = one.read_octets("its numbers");
        one.finish("a kind");
        if (list.failed()) break;
        if (numbers.size() != kind.numbers.size() || kind.count < 1 ||
            (!kinds.empty() && name <= kinds.rbegin()->first)) {
            list.fail("a kind that can't be");
            break;
        }
        std::copy(numbers.begin(), numbers.end(), kind.numbers.begin());
        kinds.emplace(std::move(name), kind);
    }
    outer.finish("kinds");
    if (outer.failed())
        return Error::environment("the kinds of a seal can't be read: " + outer.fault().text());
    return kinds;
}

std::vector<std::string> differences(const Kinds& sealed, const Kinds& now) {
    std::set<std::string> names;
    for (const auto* kinds : {&sealed, &now})
        for (const auto& [name, kind] : *kinds) names.insert(name);
    std::vector<std::string> lines;
    for (const std::string& name : names) {
        const auto then = sealed.find(name);
        const auto found = now.find(name);
        const Kind was = then == sealed.end() ? Kind() : then->second;
        const Kind is = found == now.end() ? Kind() : found->second;
        if (was == is) continue;
        lines.push_back("its records of the kind " + name +
                        " aren't those of then: " + std::to_string(was.count) + " when it was sealed, " +
                        std::to_string(is.count) + " now, with those that were removed by that name" +
                        (was.count == is.count ? ", and others" : ""));
    }
    return lines;
}

}  // namespace kokuin::evidence
