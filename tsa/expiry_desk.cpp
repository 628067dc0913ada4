#include "tsa/expiry_desk.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "store/expiry.h"
#include "store/imports.h"
#include "store/remover.h"

namespace kokuin::tsa {
namespace {

using net::Response;
using ExpiryJson = nlohmann::ordered_json;

constexpr nanoseconds removal_look_every = milliseconds(500);
constexpr nanoseconds removal_again_after = seconds(1);
constexpr nanoseconds removal_longest_pause = std::chrono::minutes(10);
/// Others read, or the second place is away: that is told when it takes so long.
constexpr nanoseconds removal_patience = std::chrono::hours(1);
/// Octets of a list, at most: it is shown, signed and kept as a whole.
constexpr std::size_t largest_list = std::size_t{512} << 10U;
/// What custodians read of a list; all of it is behind the digest.
constexpr std::size_t most_named = 12;

Result<WallTime> end_of_certificate(View der) {
    const auto certificate = pki::Certificate::from_der(der);
    if (!certificate) return certificate.error();
    return certificate->not_after();
}

std::string summary(const std::vector<store::Removal>& removals, const std::string& digest) {
    std::string text = "remove from the archive ";
    std::size_t named = 0;
    for (const store::Removal& removal : removals) {
        if (named == most_named) break;
        text += (named++ > 0 ? ", " : "") + removal.segment + " " + std::to_string(count(removal.runs)) +
                " " + removal.kind;
    }
    if (removals.size() > named) text += " and " + std::to_string(removals.size() - named) + " kinds more";
    return text + "; list sha256 " + digest;
}

std::string list_digest(const std::string& lines) {
    return to_hex(pki::digest(pki::Hash::sha256, as_view(lines)));
}

bool listed(const std::vector<std::string>& wanted, const std::string& one) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), one) != wanted.end();
}

bool names(const store::Removal& removal, store::RecordNumber number) {
    return std::any_of(removal.runs.begin(), removal.runs.end(),
                       [number](const store::Run& run) { return run.first <= number && number <= run.last; });
}

/// Takes out of the plan imports whose content isn't erased, whose record must tell of it; and erasures while
/// the record of their import stays. True: there were imports among them.
bool keep_what_imports_need(std::vector<store::Removal>& plan, const std::vector<store::Import>& imports) {
    const auto planned = [&plan](store::RecordNumber number) {
        return std::any_of(plan.begin(), plan.end(),
                           [number](const store::Removal& one) { return names(one, number); });
    };
    const auto before = plan.size();
    std::erase_if(plan, [&imports](const store::Removal& one) {
        return std::any_of(imports.begin(), imports.end(), [&one](const store::Import& import) {
            return !import.erased && names(one, import.number);
        });
    });
    const bool kept = plan.size() < before;
    for (const store::Import& import : imports)
        if (import.erased_by && !planned(import.number))
            std::erase_if(plan,
                          [&import](const store::Removal& one) { return names(one, *import.erased_by); });
    return kept;
}

std::vector<std::string> texts_of(const nlohmann::json& body, const char* key) {
    std::vector<std::string> texts;
    if (body.is_object() && body.contains(key) && body[key].is_array())
        for (const auto& one : body[key])
            if (one.is_string()) texts.push_back(one.get<std::string>());
    return texts;
}

}  // namespace

Result<WallTime> proved_time(const tac::clock::StampingClock& clock, const Tsus& tsus,
                             const std::vector<tsp::Policy>& policies) {
    const auto now = clock.read();
    for (const auto& tsu : *tsus.signing())
        for (const auto& policy : policies) {
            const auto decision = tsu->gate().decide(now, demand_of(policy));
            if (const auto* open = std::get_if<tac::Open>(&decision))
                return now.wall - microseconds(open->bound_us);
        }
    return Error::no(
        "no TSU's gate is open, so that the time isn't proved now, and nothing is removed by a clock for "
        "which "
        "nothing speaks: try again when tsactl status shows an open one");
}

ExpiryDesk::ExpiryDesk(ExpiryParts parts)
    : parts_(std::move(parts)), ticker_(removal_look_every, [this] { tick(); }) {}

void ExpiryDesk::stop() {
    stopping_ = true;
    ticker_.stop();
}

Result<std::vector<store::Removal>> ExpiryDesk::plan(const Wanted& wanted) const {
    const auto now = parts_.proved_now();
    if (!now) return now.error();
    auto reader = store::ArchiveReader::open(parts_.dir);
    if (!reader) return reader.error();
    const auto removals = store::Removals::read(**reader);
    if (!removals) return removals.error();
    const auto segments =
        store::expiring(**reader, *now, end_of_certificate, store::ExpiryExtent::what_may_have_passed);
    if (!segments) return segments.error();
    const auto imports =
        store::read_imports([&](const store::EventQuery& query, const store::Visitor& visit) {
            return (*reader)->events(query, visit);
        });
    if (!imports) return imports.error();
    auto plan = store::removable(*segments, *now);
    std::string kept;
    const auto covered = static_cast<store::RecordNumber>(parts_.archive.state().covered);
    std::erase_if(plan, [&](const store::Removal& one) {
        if (!listed(wanted.months, one.segment) || !listed(wanted.kinds, one.kind)) return true;
        if (one.runs.back().last < covered) return false;
        kept = "; records under no checkpoint stay: only a signed tree says what was removed";
        return true;
    });
    const bool any = !plan.empty();
    store::keep_what_tokens_need(plan, *segments, *removals);
    if (any && plan.empty()) kept = "; what has is needed to judge what stays (docs/retention.md)";
    if (keep_what_imports_need(plan, *imports))
        kept = "; records of imports whose content isn't erased stay (tsactl archive imports)";
    if (plan.empty())
        return Error::no("nothing of that kind in a finished month has passed its time at " +
                         to_rfc3339(*now, 0) + " (tsaudit expire lists what will)" + kept);
    if (store::removal_lines(plan).size() > largest_list)
        return Error::no("that is more than one list can hold: name months or kinds (--month, --kind)");
    return plan;
}

/// Error (no): it isn't for one person to do.
Done ExpiryDesk::alone() const {
    store::EventQuery query;
    query.kind = "custody.shared";
    bool shared = false;
    const auto done = parts_.archive.events(query, [&shared](const store::Found&) {
        shared = true;
        return false;
    });
    if (!done) return done;
    if (!shared) return {};
    return Error::no(
        "by the archive's records custodians hold the PIN, and nothing is removed without them: start tsad "
        "with "
        "their shares instead of a pin_file");
}

Result<std::string> ExpiryDesk::record(const std::vector<store::Removal>& removals,
                                       const store::RemovalReasons& reasons) {
    const std::string lines = store::removal_lines(removals);
    const store::Blob list(Bytes(lines.begin(), lines.end()));
    const auto event = store::expired_event(removals, list, reasons);
    if (auto done = parts_.journal.write(event, {list}); !done) return std::move(done).error();
    spdlog::warn("archive event={} account={} by=\"{}\" custodians=\"{}\" why=\"{}\" text=\"{}\"", event.kind,
                 reasons.account, reasons.by, reasons.custodians, reasons.why, event.text);
    parts_.changed();
    wanted_ = true;
    return event.text +
           "; that is recorded, and the files follow; a backup follows when it is brought up to date";
}

Result<std::string> ExpiryDesk::expire(const Wanted& wanted) {
    const auto removals = plan(wanted);
    if (!removals) return removals.error();
    const std::string lines = store::removal_lines(*removals);
    auto list = ExpiryJson::array();
    for (const store::Removal& one : *removals)
        list.push_back({{"month", one.segment},
                        {"kind", one.kind},
                        {"records", count(one.runs)},
                        {"ends", to_rfc3339(one.ends, 0)}});
    ExpiryJson answer{{"removals", list}, {"list", lines}, {"sha256", list_digest(lines)}};
    for (const auto& hsm : parts_.hsms.all()) {
        auto* const approvals = hsm->approvals();
        if (!approvals) continue;
        // What has passed its time stays so. (Asked with the proposals locked: nothing that takes long.)
        const auto still = [this, removals = *removals]() -> Done {
            if (const auto now = parts_.proved_now(); !now) return now.error();
            auto reader = store::ArchiveReader::open(parts_.dir);
            if (!reader) return reader.error();
            const auto known = store::Removals::read(**reader);
            if (!known) return known.error();
            for (const store::Removal& one : removals)
                if (known->name_any(one.runs))
                    return Error::no("some of these records were removed since: ask anew");
            return {};
        };
        const auto proposal = approvals->propose(
            {"archive-expire", summary(*removals, list_digest(lines)), wanted.reasons.why, wanted.reasons.by,
             wanted.reasons.account},
            still, [this, wanted, removals = *removals](const hsm::custody::Agreement& agreement) {
                auto agreed = wanted.reasons;
                agreed.agreed_in = agreement.id;
                agreed.custodians = agreement.custodians;
                return record(removals, agreed);
            });
        if (!proposal) return proposal.error();
        answer["proposal"] = parse_ordered_json(proposal->to_json());
        answer["hsm"] = hsm->name();
        return json_text(answer);
    }
    if (auto done = alone(); !done) return std::move(done).error();
    const auto done = record(*removals, wanted.reasons);
    if (!done) return done.error();
    answer["text"] = *done;
    return json_text(answer);
}

/// What is left to do, and why; nothing: all is done.
std::optional<Error> ExpiryDesk::carry_out() {
    const auto stop = [this] { return stopping_.load(); };
    const auto now = parts_.proved_now();
    if (!now) return now.error();
    std::optional<Error> left;
    for (const std::string& dir : {parts_.dir, parts_.copy}) {
        if (dir.empty()) continue;
        if (dir == parts_.copy) {
            const auto state = parts_.archive.copy();
            if (!state || state->next < parts_.archive.state().next) {
                if (!left) left = Error::no("the second place hasn't come to it yet");
                continue;
            }
        }
        const auto done = store::carry_out_removals(dir, *now, stop);
        if (!done) {
            left = done.error();
            continue;
        }
        if (done->removed > 0) spdlog::info("archive removed={} dir={}", done->removed, dir);
        if (done->trouble) left = *done->trouble;
        if (done->waiting && !left) left = Error::no("it isn't under a checkpoint yet");
    }
    return left;
}

void ExpiryDesk::tick() {
    const auto now = parts_.mono.now();
    if (!wanted_ || (not_before_ && now < *not_before_)) return;
    wanted_ = false;
    const auto left = carry_out();
    if (stopping_) return;
    if (!left) {
        not_before_.reset();
        waits_since_.reset();
        if (std::exchange(late_, false)) tell("removal.back", "what was recorded as removed is gone");
        return;
    }
    wanted_ = true;
    if (!waits_since_) waits_since_ = now;
    // Soon at first: mostly it is a checkpoint, or a reader, that is waited for.
    pause_ =
        now - *waits_since_ < seconds(10) ? removal_again_after : std::min(pause_ * 2, removal_longest_pause);
    not_before_ = parts_.mono.now() + pause_;
    const bool late = left->kind != Error::Kind::no || now - *waits_since_ > removal_patience;
    if (late && !std::exchange(late_, true)) tell("removal.late", left->text);
}

void ExpiryDesk::tell(const char* kind, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.text = text;
    spdlog::log(late_ ? spdlog::level::err : spdlog::level::info, "{} text=\"{}\"", kind, text);
    (void)parts_.journal.keep(std::move(event));
}

void ExpiryDesk::add_routes(net::Router& router) {
    router.add("POST", "/archive/expire",
               net::for_owner("tsad",
                              [this](const net::Request& request) {
                                  const auto body = parse_json(as_text(request.body));
                                  Wanted wanted{texts_of(body, "months"), texts_of(body, "kinds"), {}};
                                  wanted.reasons.why = text_member(body, "why");
                                  wanted.reasons.by = text_member(body, "by");
                                  wanted.reasons.account = account_text(request.peer.process->uid);
                                  if (auto done = check_why_and_by(wanted.reasons.why, wanted.reasons.by);
                                      !done)
                                      return net::problem(done.error());
                                  const auto answer = expire(wanted);
                                  return answer ? Response::json(200, *answer) : net::problem(answer.error());
                              }),
               {{"application/json"}, std::nullopt});
}

}  // namespace kokuin::tsa
