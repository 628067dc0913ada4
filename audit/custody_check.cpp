#include "audit/custody_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "audit/key_history.h"
#include "base/text.h"
#include "hsm/custody/papers/roster.h"
#include "hsm/custody/papers/statement.h"
#include "store/removal.h"

namespace kokuin::audit {
namespace {

using hsm::custody::Roster;
using hsm::custody::Statement;

/// As a statement has it.
std::string line(const store::Event& event, const char* key) {
    return one_line(event.value<std::string>(key), any_length);
}

/// One token's events, in their order.
class CustodyJudge {
  public:
    CustodyJudge(store::ArchiveReader& reader, const std::vector<store::Expiry>& removals,
                 std::vector<Problem>& problems)
        : reader_(reader), removals_(removals), problems_(problems) {}

    void take(const store::Found& found) {
        const std::string& kind = found.event().kind;
        if (kind == "custody.shared") shared(found);
        if (kind == "custody.resharing") resharing(found);
        if (kind == "custody.activated") activated(found);
        if (kind == "custody.agreed") agreed(found);
    }
    [[nodiscard]] std::optional<Custody> custody() const {
        if (!in_force_) return std::nullopt;
        return Custody{
            in_force_->token, in_force_->text(), in_force_->ceremony, in_force_->generation, begun_, anew_};
    }

  private:
    /// Not where a record that told of other custodians may have been removed since the last one that did
    /// (or, `asks_agreement`, one of their agreement): then nobody knows any more.
    void object_if_known(const store::Found& found, std::string detail, bool asks_agreement = false) {
        const auto tells = [&](const store::Removal& one) {
            const bool of_custodians = one.kind == "custody.shared" || one.kind == "custody.resharing" ||
                                       (asks_agreement && one.kind == "custody.agreed");
            return of_custodians && std::any_of(one.runs.begin(), one.runs.end(), [&](const store::Run& run) {
                       return run.last > since_ && run.first < found.record.number;
                   });
        };
        for (const store::Expiry& expiry : removals_)
            if (std::any_of(expiry.removals.begin(), expiry.removals.end(), tells)) return;
        object(found, std::move(detail));
    }
    void object(const store::Found& found, std::string detail) {
        problems_.push_back({"custody", found.segment, found.record.number, "", std::move(detail)});
    }

    /// Nothing: it isn't there, or nothing of that kind; that is objected to.
    std::optional<std::string> paper(const store::Found& found) {
        const auto& blobs = found.event().blobs;
        const auto content =
            blobs.empty() ? Error::no("names no blob") : reader_.blob(blobs.front(), found.segment);
        if (content) return as_text(*content);
        object(found, "what custodians signed, or who they are, isn't there: " + content.error().text);
        return std::nullopt;
    }
    std::optional<Roster> roster(const store::Found& found) {
        const auto json = paper(found);
        if (!json) return std::nullopt;
        auto read = Roster::from_json(*json);
        if (read && read->token == found.event().subject) return std::move(*read);
        object(found, "who holds the PINs can't be read: " +
                          (read ? "it is of the token " + read->token : read.error().text));
        return std::nullopt;
    }
    std::optional<Statement> statement(const store::Found& found, const Roster& by) {
        const auto json = paper(found);
        if (!json) return std::nullopt;
        auto read = hsm::custody::agreed(*json, by);
        // What was on its way while they were replaced comes a moment later.
        if (!read && before_ && found.record.number - since_ <= on_their_way)
            if (auto earlier = hsm::custody::agreed(*json, *before_)) read = std::move(earlier);
        if (read) return std::move(*read);
        object_if_known(
            found, "custodians haven't signed what they are said to have agreed to: " + read.error().text);
        return std::nullopt;
    }

    void shared(const store::Found& found) {
        auto now = roster(found);
        if (!now) return;
        const bool follows = in_force_ && in_force_->ceremony == now->ceremony;
        if (follows && *now != *in_force_ && !(next_ && *now == *next_))
            object_if_known(found,
                            "the PINs went to other custodians, and no record says how those before agreed");
        if (!follows) {
            anew_ = in_force_.has_value();
            begun_ = found.record.number;
            before_.reset();
            reshare_.reset();
        } else if (*now != *in_force_) {
            before_ = std::move(in_force_);
            reshare_.reset();
        }
        in_force_ = std::move(now);
        since_ = found.record.number;
        next_.reset();
    }

    void resharing(const store::Found& found) {
        auto next = roster(found);
        if (!next || !in_force_) return;
        const auto is_wanted = [&](const Statement& one) {
            return one.content == std::to_string(next->threshold) + " of " + next->keys_text();
        };
        if (next->ceremony != in_force_->ceremony || next->generation != in_force_->generation + 1)
            object_if_known(found, "the next custodians aren't those of the next generation");
        else if (!reshare_ || !is_wanted(*reshare_))
            object_if_known(found, "the PINs are to go to custodians whom those before haven't agreed to",
                            true);
        next_ = std::move(next);
    }

    void activated(const store::Found& found) {
        const auto& event = found.event();
        const bool of_next = next_ && event.value<std::int64_t>("generation") == next_->generation;
        if (!in_force_)
            return object_if_known(found,
                                   "custodians are said to have opened the token, and nobody was ever one");
        const auto said = statement(found, of_next ? *next_ : *in_force_);
        if (said && (said->act != "activate" || said->settings != event.value<std::string>("settings") ||
                     said->content != line(event, "content")))
            object(found, "custodians have signed something else than its record says");
    }

    void agreed(const store::Found& found) {
        const auto& event = found.event();
        if (!in_force_)
            return object_if_known(found, "custodians are said to have agreed, and nobody was ever one");
        const auto said = statement(found, *in_force_);
        if (!said) return;
        if (said->act != event.value<std::string>("act") || said->content != line(event, "content") ||
            said->nonce != event.value<std::string>("proposal"))
            return object(found, "custodians have signed something else than its record says");
        if (said->act == "reshare") reshare_ = *said;
    }

    store::ArchiveReader& reader_;
    const std::vector<store::Expiry>& removals_;
    std::vector<Problem>& problems_;
    std::optional<Roster> in_force_;
    std::optional<Roster> before_;  // of the same ceremony
    std::optional<Roster> next_;
    std::optional<Statement> reshare_;  // what they agreed to last
    store::RecordNumber since_ = -1;    // the record that told who is in force
    store::RecordNumber begun_ = 0;
    bool anew_ = false;
};

}  // namespace

CustodyFindings check_custody(store::ArchiveReader& reader, store::RecordNumber end, std::uint64_t covered,
                              std::vector<Problem>& problems) {
    const auto known = store::Removals::read(reader);  // an error is told by check_removals()
    const auto removals = known ? signed_removals(*known, covered) : std::vector<store::Expiry>();
    // Those few, out of very many events.
    std::vector<store::Found> events;
    for (const char* kind : {"custody.shared", "custody.resharing", "custody.activated", "custody.agreed"}) {
        store::EventQuery query;
        query.kind = kind;
        const auto done = reader.events(query, [&](const store::Found& found) {
            if (found.record.number >= end) return false;
            events.push_back(found);
            return true;
        });
        if (!done)
            problems.push_back(
                {"custody", "", {}, "", "what custodians did can't be read: " + done.error().text});
    }
    std::sort(events.begin(), events.end(),
              [](const store::Found& a, const store::Found& b) { return a.record.number < b.record.number; });
    std::map<std::string, CustodyJudge> tokens;
    for (const store::Found& found : events)
        tokens.try_emplace(found.event().subject, reader, removals, problems).first->second.take(found);
    CustodyFindings findings;
    const auto agreements = Agreements::read(reader, removals);
    if (agreements)
        findings.alone = agreements->check_acts(reader, end, problems);
    else
        problems.push_back({"custody",
                            "",
                            {},
                            "",
                            "whether custodians had agreed can't be told: " + agreements.error().text});
    for (const auto& [token, judge] : tokens)
        if (auto custody = judge.custody()) findings.tokens.push_back(std::move(*custody));
    return findings;
}

}  // namespace kokuin::audit
