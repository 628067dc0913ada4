#include "audit/agreements.h"

#include <algorithm>
#include <functional>
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

Act act_of(const Agreed& how, const store::Found& found) {
    const store::Event& event = found.event();
    // Only keys are of a token.
    return {found.record.number,
            found.segment,
            how.act,
            event.value<std::string>(how.proposal),
            event.value<std::string>("custodians"),
            how.part(event),
            event.value<std::string>("token")};
}

Done each(store::ArchiveReader& reader, const char* kind,
          const std::function<void(const store::Found&)>& look) {
    store::EventQuery query;
    query.kind = kind;
    return reader.events(query, [&look](const store::Found& found) {
        look(found);
        return true;
    });
}

}  // namespace

std::vector<store::Expiry> signed_removals(const store::Removals& removals, std::uint64_t covered) {
    std::vector<store::Expiry> all = removals.all();
    std::erase_if(all, [covered](const store::Expiry& one) {
        return static_cast<std::uint64_t>(one.number) >= covered;
    });
    return all;
}

Result<Agreements> Agreements::read(store::ArchiveReader& reader, std::vector<store::Expiry> removals) {
    Agreements made;
    made.removals_ = std::move(removals);
    auto segments = reader.segments();
    if (!segments) return segments.error();
    made.segments_ = std::move(*segments);
    for (auto& [kind, list] :
         {std::pair{"custody.shared", &made.shared_}, std::pair{"custody.agreed", &made.agreed_},
          std::pair{"custody.activated", &made.opened_}}) {
        const auto done = each(reader, kind, [list = list](const store::Found& found) {
            const auto& event = found.event();
            list->push_back({found.record.number, event.subject, event.value<std::string>("act"),
                             event.value<std::string>("proposal"), event.value<std::string>("content")});
        });
        if (!done) return done.error();
    }
    const auto names = [&made](const store::Found& found, const char* field) {
        const auto proposal = found.event().value<std::string>(field);
        const auto number = found.record.number;
        if (const auto [at, is_new] = made.first_act_.try_emplace(proposal, number); !is_new)
            at->second = std::min(at->second, number);
    };
    for (const Agreed& one : acts)
        if (auto done =
                each(reader, one.kind, [&](const store::Found& found) { names(found, one.proposal); });
            !done)
            return std::move(done).error();
    if (auto done = each(reader, store::archive_expired,
                         [&](const store::Found& found) { names(found, "agreed_in"); });
        !done)
        return std::move(done).error();
    return made;
}

/// What was agreed to is done at once: a month may have begun in between, not more.
bool Agreements::may_be_removed(const char* kind, store::RecordNumber number,
                                const std::string& segment) const {
    const auto own = std::find(segments_.begin(), segments_.end(), segment);
    const auto is_near = [&](const std::string& other) {
        return other == segment ||
               (own != segments_.begin() && own != segments_.end() && other == *(own - 1));
    };
    return std::any_of(removals_.begin(), removals_.end(), [&](const store::Expiry& expiry) {
        return expiry.number > number &&
               std::any_of(expiry.removals.begin(), expiry.removals.end(), [&](const store::Removal& one) {
                   return one.kind == kind && is_near(one.segment);
               });
    });
}

std::optional<Agreements::Lacking> Agreements::lacking(const Act& act) const {
    const auto concerns = [&act](const Said& one) {
        return one.number < act.number && (act.token.empty() || one.token == act.token);
    };
    const auto last = std::find_if(shared_.rbegin(), shared_.rend(), concerns);
    const auto since = last == shared_.rend() ? std::nullopt : std::optional(last->number);
    const std::string held = since ? "; they hold the PIN since record " + std::to_string(*since)
                                   : "; no record before it says who shared a PIN";
    if (act.proposal.empty() && act.custodians.empty()) {
        if (!since) return std::nullopt;
        return Lacking{true, since, "nobody is said to have agreed to it" + held};
    }
    const auto first = first_act_.find(act.proposal);
    if (!act.proposal.empty() && first != first_act_.end() && first->second < act.number)
        return Lacking{
            false, since,
            "what custodians had agreed to was done already, by record " + std::to_string(first->second)};
    const bool agreed = std::any_of(agreed_.begin(), agreed_.end(), [&](const Said& one) {
        return concerns(one) && one.act == act.name && !act.proposal.empty() &&
               one.proposal == act.proposal && one.content.find(act.part) != std::string::npos;
    });
    if (agreed || may_be_removed("custody.agreed", act.number, act.segment)) return std::nullopt;
    return Lacking{
        false, since,
        "custodians are said to have agreed to it, and no record before it says that they had" + held};
}

std::vector<Alone> Agreements::check_acts(store::ArchiveReader& reader, store::RecordNumber end,
                                          std::vector<Problem>& problems) const {
    std::vector<Alone> alone;
    const auto look = [&](const char* kind, const std::function<void(const store::Found&)>& judge) {
        const auto done = each(reader, kind, [&](const store::Found& found) {
            if (found.record.number < end) judge(found);
        });
        if (!done)
            problems.push_back(
                {"custody", "", {}, "", "whether custodians had agreed can't be told: " + done.error().text});
    };
    for (const Agreed& one : acts)
        look(one.kind, [&](const store::Found& found) {
            const Act act = act_of(one, found);
            const auto lacks = lacking(act);
            if (!lacks) return;
            if (!lacks->alone) problems.push_back({"custody", found.segment, act.number, "", lacks->text});
            // Whose a key was of which no token is known nobody can say.
            else if (!act.token.empty() || found.event().kind != "key.destroyed")
                alone.push_back({act.number, found.segment, found.event().kind, *lacks->since});
        });
    look("archive.restored", [&](const store::Found& found) { check_restored(found, problems); });
    return alone;
}

/// Where it names nobody, that is told as what it is (restored.h).
void Agreements::check_restored(const store::Found& found, std::vector<Problem>& problems) const {
    const store::Event& event = found.event();
    const auto number = found.record.number;
    const auto* root = event.find<Bytes>("root");
    if (event.value<std::string>("custodians").empty()) return;
    const std::string part = ", root " + (root ? to_hex(*root) : std::string()) + "; witnessed: ";
    const bool opened = std::any_of(opened_.begin(), opened_.end(), [&](const Said& one) {
        return one.number > number && one.number <= number + just_behind &&
               one.content.starts_with("restore the archive ") && one.content.find(part) != std::string::npos;
    });
    if (!opened && !may_be_removed("custody.activated", number, found.segment))
        problems.push_back({"custody", found.segment, number, "",
                            "custodians are said to have restored the archive, and no record behind it says "
                            "that they opened a token for that"});
}

}  // namespace kokuin::audit
