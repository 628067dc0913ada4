#include "audit/agreements.h"

#include <algorithm>
#include <utility>

namespace kokuin::audit {
namespace {

/// What opened a token for a restore is told behind the record of it, with what was refused before.
constexpr store::RecordNumber just_behind = 64;

/// How a kind of events says what was agreed to.
struct Agreed {
    const char* kind;
    const char* act;
    const char* proposal;  ///< the field that names it
    std::string (*part)(const store::Event&);
};
constexpr Agreed acts[] = {
    {"key.destroyed", "key-destroy", "proposal",
     [](const store::Event& event) {
         return "key " + event.value<std::string>("key") + ", spki_sha256 " +
                event.value<std::string>("spki_sha256");
     }},
    {"programs.accepted", "programs-accept", "agreed_in",
     [](const store::Event& event) { return "list sha256 " + event.value<std::string>("list"); }},
    {"import.erased", "import-erase", "agreed_in",
     [](const store::Event& event) { return "import " + event.value<std::string>("id") + ","; }},
};

}  // namespace

Result<Agreements> Agreements::read(store::ArchiveReader& reader, const store::Removals& removals) {
    Agreements made(removals);
    for (auto& [kind, list] :
         {std::pair{"custody.shared", &made.shared_}, std::pair{"custody.agreed", &made.agreed_},
          std::pair{"custody.activated", &made.opened_}}) {
        store::EventQuery query;
        query.kind = kind;
        const auto done = reader.events(query, [list = list](const store::Found& found) {
            const auto& event = found.event();
            list->push_back({found.record.number, event.subject, event.value<std::string>("act"),
                             event.value<std::string>("proposal"), event.value<std::string>("content")});
            return true;
        });
        if (!done) return done.error();
    }
    return made;
}

bool Agreements::may_be_removed(std::string_view kind, store::RecordNumber from,
                                store::RecordNumber to) const {
    for (const store::Expiry& expiry : removals_.all())
        for (const store::Removal& removal : expiry.removals)
            if (expiry.number > to && removal.kind == kind &&
                std::any_of(removal.runs.begin(), removal.runs.end(),
                            [&](const store::Run& run) { return run.first < to && run.last >= from; }))
                return true;
    return false;
}

std::optional<store::RecordNumber> Agreements::lacking(const Act& act) const {
    const auto concerns = [&act](const Said& one) {
        return one.number < act.number && (act.token.empty() || one.token == act.token);
    };
    const auto held = std::find_if(shared_.begin(), shared_.end(), concerns);
    if (held == shared_.end()) return std::nullopt;
    const bool agreed = std::any_of(agreed_.begin(), agreed_.end(), [&](const Said& one) {
        return concerns(one) && one.act == act.name && !act.proposal.empty() &&
               one.proposal == act.proposal && one.content.find(act.part) != std::string::npos;
    });
    if (agreed || may_be_removed("custody.agreed", held->number, act.number)) return std::nullopt;
    const auto last = std::find_if(shared_.rbegin(), shared_.rend(), concerns);
    return last->number;
}

std::vector<Alone> Agreements::check_acts(store::ArchiveReader& reader, store::RecordNumber end,
                                          std::vector<Problem>& problems) const {
    std::vector<Alone> alone;
    const auto each = [&](const char* kind, const auto& look) {
        store::EventQuery query;
        query.kind = kind;
        const auto done = reader.events(query, [&](const store::Found& found) {
            if (found.record.number >= end) return false;
            look(found);
            return true;
        });
        if (!done)
            problems.push_back(
                {"custody", "", {}, "", "whether custodians had agreed can't be told: " + done.error().text});
    };
    for (const Agreed& one : acts)
        each(one.kind, [&](const store::Found& found) {
            const store::Event& event = found.event();
            const auto proposal = event.value<std::string>(one.proposal);
            const auto token = one.kind == std::string_view("key.destroyed")
                                   ? event.value<std::string>("token")
                                   : std::string();
            const auto since = lacking({found.record.number, one.act, proposal, one.part(event), token});
            if (!since) return;
            if (proposal.empty() && event.value<std::string>("custodians").empty())
                alone.push_back({found.record.number, found.segment, event.kind, *since});
            else
                problems.push_back({"custody", found.segment, found.record.number, "",
                                    "custodians are said to have agreed to it, and no record before it says "
                                    "that they had; they hold the PIN since record " +
                                        std::to_string(*since)});
        });
    each("archive.restored", [&](const store::Found& found) { check_restored(found, problems); });
    return alone;
}

/// Where it names nobody, that is told as what it is (restored.h).
void Agreements::check_restored(const store::Found& found, std::vector<Problem>& problems) const {
    const store::Event& event = found.event();
    const auto number = found.record.number;
    const auto* root = event.find<Bytes>("root");
    if (event.value<std::string>("custodians").empty()) return;
    const std::string part = ", root " + (root ? to_hex(*root) : std::string());
    const bool opened = std::any_of(opened_.begin(), opened_.end(), [&](const Said& one) {
        return one.number > number && one.number <= number + just_behind &&
               one.content.starts_with("restore the archive ") && one.content.find(part) != std::string::npos;
    });
    if (!opened && !may_be_removed("custody.activated", number, number + just_behind))
        problems.push_back({"custody", found.segment, number, "",
                            "custodians are said to have restored the archive, and no record behind it says "
                            "that they opened a token for that"});
}

}  // namespace kokuin::audit
