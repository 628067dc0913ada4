#include "tsa/sealer.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/account.h"
#include "base/json_text.h"
#include "base/net/outcome.h"
#include "base/net/owner.h"
#include "base/text.h"
#include "store/reader.h"
#include "store/scan.h"
#include "store/tree_reader.h"

namespace kokuin::tsa {
namespace {

using nlohmann::json;

constexpr nanoseconds longest_pause = std::chrono::hours(1);
/// A TSA whose clock is further off than that stamps nothing for us.
constexpr nanoseconds most_off = std::chrono::minutes(10);

bool has_log(const std::string& dir, const std::string& segment) {
    return ::access((dir + "/" + segment + ".sqlite-wal").c_str(), F_OK) == 0;
}

const char* state_of(const evidence::Seal& seal, SealStep step) {
    switch (step) {
        case SealStep::stamp:
            return "to be stamped";
        case SealStep::renew:
        case SealStep::rehash:
            return "to be renewed";
        case SealStep::none:
            break;
    }
    return seal.month.layers().empty() ? "sealed" : "stamped";
}

json seals_json(const Sealer::Snapshot& seen, const std::optional<SealSettings>& settings) {
    json months = json::array();
    for (const auto& month : seen.months)
        months.push_back({{"month", month.segment},
                          {"state", month.state},
                          {"stamped", month.stamped ? json(to_rfc3339(*month.stamped, 0)) : json(nullptr)},
                          {"until", month.until ? json(to_rfc3339(*month.until, 0)) : json(nullptr)},
                          {"chains", month.chains},
                          {"time_stamps", month.stamps}});
    return {{"tsa", settings ? json(settings->url.host) : json(nullptr)},
            {"months", months},
            {"trouble", seen.trouble.empty() ? json(nullptr) : json(seen.trouble)}};
}

}  // namespace

Result<evidence::Believed> load_believed(const SealSettings& settings) {
    evidence::Believed believed;
    auto anchors = pki::load_certificates(settings.anchors);
    if (!anchors) return std::move(anchors).error().in("[seal] anchors");
    believed.anchors = std::move(*anchors);
    for (const std::string& path : settings.certificates) {
        const auto more = pki::load_certificates(path);
        if (!more) return Error{more.error()}.in("[seal] certificates");
        believed.certificates.insert(believed.certificates.end(), more->begin(), more->end());
    }
    return believed;
}

AskForStamp ask_over_http(const SealSettings& settings) {
    return [target = StampTarget{settings.url, settings.ca}](const tsp::Request& request) {
        return ask_for_stamp(target, request, seconds(30));
    };
}

SealStep next_step(const evidence::Seal& seal, pki::Hash wanted, nanoseconds renew_before, WallTime now) {
    if (seal.month.layers().empty()) return SealStep::stamp;
    if (seal.month.layers().back().hash != wanted) return SealStep::rehash;
    const auto life = seal.until - seal.stamped;
    return now >= seal.until - std::min<nanoseconds>(renew_before, life / 2) ? SealStep::renew
                                                                             : SealStep::none;
}

std::optional<std::string> lapse(const evidence::Seal& seal, WallTime stamped) {
    if (seal.month.layers().empty() || stamped <= seal.until) return std::nullopt;
    return "TOO LATE: the one before ended on " + to_rfc3339(seal.until, 0) +
           ", and nobody vouches for the month from then until " + to_rfc3339(stamped, 0);
}

Sealer::Sealer(SealerParts parts)
    : parts_(std::move(parts)),
      ticker_(parts_.settings ? parts_.settings->every : nanoseconds(std::chrono::minutes(1)),
              [this] { tick(); }) {}

void Sealer::stop() {
    stopping_ = true;
    ticker_.stop();
}

void Sealer::tick() {
    if (!hurry_.exchange(false) && not_before_ && parts_.clock.read().after < *not_before_) return;
    Result<bool> more = true;
    while (more && *more && !stopping_) more = advance();
    if (stopping_) return;
    if (more) {
        not_before_.reset();
        pause_ = nanoseconds(0);
        if (std::exchange(late_, false)) tell("seal.back", "months are sealed and time-stamped again");
        return;
    }
    pause_ = std::min(longest_pause, std::max<nanoseconds>(seconds(1), pause_ * 2));
    not_before_ = parts_.clock.read().after + pause_;
    if (!std::exchange(late_, true)) tell("seal.late", more.error().text);
}

Result<bool> Sealer::advance() {
    std::vector<std::string> finished;
    std::optional<Error> trouble;
    std::shared_ptr<const evidence::Seals> known;
    const auto tried = [&](const Result<bool>& result) {
        if (!result && !trouble) trouble = result.error();
        // A write that failed may be there all the same.
        if (!result || *result) seals_.reset();
        return result && *result;
    };
    const auto done = [&]() -> Result<bool> {
        const auto segments = store::segments_in(parts_.dir);
        if (!segments) return segments.error();
        finished.assign(segments->begin(), segments->end() - 1);
        if (parts_.archive.state().kind != store::ArchiveState::Kind::ready)
            return Error::environment("the archive takes nothing at the moment");
        if (forget_.exchange(false) || !seals_) {
            auto reader = store::ArchiveReader::open(parts_.dir);
            auto read = reader ? evidence::read_seals(**reader) : Result<evidence::Seals>(reader.error());
            if (!read) return read.error();
            seals_ = std::make_shared<const evidence::Seals>(std::move(*read));
        }
        known = seals_;
        const auto& seals = *known;
        for (const auto& [segment, fault] : seals.faulty)
            if (!trouble) trouble = Error::environment("the seal of " + segment + " can't be read: " + fault);
        const auto is_faulty = [&seals](const std::string& segment) {
            return std::any_of(seals.faulty.begin(), seals.faulty.end(),
                               [&](const auto& one) { return one.first == segment; });
        };
        for (std::size_t i = 0; i < finished.size(); ++i)
            if (!seals.find(finished[i]) && !is_faulty(finished[i]) &&
                !seals.removals.tokens_of(finished[i]) &&
                tried(seal(finished[i], (*segments)[i + 1], seals.removals)))
                return true;
        // What ages goes first, what takes long last.
        for (const auto wanted : {SealStep::renew, SealStep::stamp, SealStep::rehash})
            for (const evidence::Seal& one : seals.good)
                if (!stopping_ && step_of(one) == wanted) {
                    const auto stamped = stamp(seals, one, wanted);
                    if (tried(stamped ? Result<bool>(true) : Result<bool>(stamped.error()))) return true;
                }
        if (trouble) return *trouble;
        return false;
    }();
    // While there is more to do, soon again.
    if (!done || !*done) show(finished, known ? *known : evidence::Seals(), done ? "" : done.error().text);
    return done;
}

SealStep Sealer::step_of(const evidence::Seal& seal) const {
    if (!parts_.settings) return SealStep::none;
    const std::lock_guard lock(mutex_);
    if (wishes_.contains(seal.segment) && !seal.month.layers().empty()) return SealStep::renew;
    return next_step(seal, parts_.settings->hash, parts_.settings->renew_before, parts_.clock.read().wall);
}

/// False: it isn't finished yet.
Result<bool> Sealer::seal(const std::string& segment, const std::string& next,
                          const store::Removals& removals) {
    if (!parts_.checkpointer || has_log(parts_.dir, segment)) return false;
    auto scan = store::SegmentScan::open(parts_.dir, segment);
    if (!scan) return scan.error();
    const auto after = store::SegmentScan::open(parts_.dir, next);
    if (!after) return after.error();
    const auto end = after->facts().first;
    if (after->facts().previous != segment)
        return Error::environment(parts_.dir + ": the month after " + segment +
                                  " isn't there; put its file back before anything is sealed");
    if (parts_.archive.state().covered < static_cast<std::uint64_t>(end)) return false;
    const auto head = head_at(static_cast<std::uint64_t>(end));
    if (!head) return head.error();
    const auto kinds = evidence::kinds_of(*scan, removals);
    if (!kinds) return kinds.error();
    const auto note = parts_.checkpointer->sign(*head);
    if (!note) return note.error();
    const auto grouping = evidence::Grouping::of(scan->facts().first, end);
    if (auto done = write(evidence::make_seal(segment, grouping, *head, note->write(), *kinds)); !done)
        return done.error();
    return true;
}

/// What the files say of the tree then, proved to be the beginning of what this process has in memory.
Result<tlog::TreeHead> Sealer::head_at(std::uint64_t end) const {
    const auto newest = parts_.archive.head();
    auto tree = store::TreeReader::open(parts_.dir);
    if (!tree) return tree.error();
    const auto head = (*tree)->head(end);
    if (!head) return head.error();
    const auto proof = (*tree)->consistency_proof(end, newest.size);
    if (!proof) return proof.error();
    if (!tlog::verify_consistency(*head, newest, *proof))
        return Error::environment(parts_.dir +
                                  ": the tree in its files isn't the one that was signed; see what is wrong "
                                  "with: tsaudit verify");
    return *head;
}

Done Sealer::stamp(const evidence::Seals& seals, const evidence::Seal& seal, SealStep step) {
    const auto hash = parts_.settings->hash;
    const auto& layers = seal.month.layers();
    if (step == SealStep::renew) {
        const auto& layer = layers.back();
        const auto token =
            time_stamp(layer.hash, evidence::renewal_imprint(layer.hash, layer.stamps), seal.stamped);
        if (!token) return token.error();
        auto done = write(evidence::make_renewal(seal.segment, layers.size() - 1, layer.stamps.size(),
                                                 token->stamped, layer.hash, token->der),
                          lapse(seal, token->stamped.time));
        const std::lock_guard lock(mutex_);
        if (done) wishes_.erase(seal.segment);
        return done;
    }
    auto reader = evidence::TokenReader::open(parts_.dir, seal.segment, seals.removals);
    if (!reader) return reader.error();
    const auto& grouping = seal.month.grouping();
    std::vector<Bytes> groups;
    for (std::size_t group = 0; group < grouping.groups(); ++group) {
        if (stopping_) return Error::environment("broken off: tsad stops");
        const auto tokens = (*reader)->tokens(grouping.begin_of(group), grouping.begin_of(group + 1));
        if (!tokens) return tokens.error();
        // A token that has rotted mustn't get a time-stamp that says it was always so.
        for (std::size_t i = 0; i < layers.size(); ++i)
            if (seal.month.group_root(i, layers[i].hash, *tokens) != layers[i].groups[group])
                return Error::environment(
                    seal.segment + ": the tokens of the records " + std::to_string(grouping.begin_of(group)) +
                    " to " + std::to_string(grouping.begin_of(group + 1) - 1) +
                    " aren't those that were time-stamped; restore a copy of the month");
        groups.push_back(seal.month.group_root(layers.size(), hash, *tokens));
    }
    const auto token = time_stamp(hash, seal.month.imprint(layers.size(), hash, groups), seal.stamped);
    if (!token) return token.error();
    return write(
        evidence::make_stamp(seal.segment, layers.size(), grouping, groups, token->stamped, hash, token->der),
        lapse(seal, token->stamped.time));
}

Result<Sealer::Token> Sealer::time_stamp(pki::Hash hash, const Bytes& imprint, WallTime after) {
    const auto answer = parts_.ask(stamp_request(hash, imprint, parts_.settings->policy, true));
    if (!answer) return answer.error();
    const auto now = parts_.clock.read().wall;
    auto stamped = evidence::check_stamp(answer->token.der, hash, imprint, parts_.believed);
    if (!stamped) return std::move(stamped).error().in("[seal] tsa: its time-stamp isn't good");
    if (const auto off = stamped->time - now; off > most_off || off < -most_off)
        return Error::environment("[seal] tsa: its clock shows " + to_rfc3339(stamped->time) +
                                  ", more than ten minutes off; ask its operators, or name another TSA");
    if (stamped->time < after)
        return Error::environment("[seal] tsa: its time-stamp is older than the one before (" +
                                  to_rfc3339(after) + "): one of the two clocks is wrong; it is tried again");
    if (parts_.is_own && parts_.is_own(stamped->spki))
        return Error::usage(
            "[seal] tsa: its time-stamp is signed by a TSU of this server, which is nobody else; name a TSA "
            "of another organisation");
    return Token{std::move(*stamped), answer->token.der};
}

Done Sealer::write(evidence::Entry entry, const std::optional<std::string>& lapsed) {
    if (lapsed) {
        entry.event.text += "; " + *lapsed;
        spdlog::error("seal month={} text=\"{}\"", entry.event.subject, *lapsed);
    }
    if (auto done = parts_.journal.write(entry.event, entry.blobs); !done) return done;
    spdlog::info("seal month={} event={} text=\"{}\"", entry.event.subject, entry.event.kind,
                 entry.event.text);
    return {};
}

void Sealer::tell(const char* kind, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.text = text;
    spdlog::log(late_ ? spdlog::level::err : spdlog::level::info, "{} text=\"{}\"", kind, text);
    (void)parts_.journal.keep(std::move(event));
}

void Sealer::show(const std::vector<std::string>& finished, const evidence::Seals& seals,
                  const std::string& trouble) {
    Snapshot seen;
    seen.trouble = trouble;
    for (const std::string& segment : finished) {
        Snapshot::Month month;
        month.segment = segment;
        month.state = "waits";
        if (const evidence::Seal* seal = seals.find(segment)) {
            month.state = state_of(*seal, step_of(*seal));
            month.chains = seal->month.layers().size();
            for (const auto& layer : seal->month.layers()) month.stamps += layer.stamps.size();
            if (month.chains > 0) {
                month.stamped = seal->stamped;
                month.until = seal->until;
            }
        }
        if (seals.removals.tokens_of(segment)) month.state = "expired";
        seen.months.push_back(std::move(month));
    }
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(seen);
}

Sealer::Snapshot Sealer::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

Done Sealer::wish_renewal(const std::string& segment, const std::string& why, const std::string& by,
                          const std::string& account) {
    if (!parts_.settings) return Error::no("no TSA is configured that could do that: [seal] tsa");
    const auto months = snapshot().months;
    if (std::none_of(months.begin(), months.end(),
                     [&](const auto& month) { return month.segment == segment && month.chains > 0; }))
        return Error::no("the month '" + one_line(segment, 64) +
                         "' has no time-stamp; tsactl seal list shows those that have one");
    store::Event event;
    event.kind = "seal.wished";
    event.subject = segment;
    event.text = "its time-stamp is to be renewed: " + why;
    event.fields = {{"why", why}, {"by", by}, {"account", account}};
    if (auto done = parts_.journal.write(event); !done) return done;
    const std::lock_guard lock(mutex_);
    wishes_.insert(segment);
    hurry_ = true;
    return {};
}

void Sealer::add_routes(net::Router& control) {
    using net::Response;
    control.add("GET", "/seals", net::for_owner("tsad", [this](const net::Request&) {
                    return Response::json(200, json_text(seals_json(snapshot(), parts_.settings)));
                }));
    control.add("POST", "/seals/renew",
                net::for_owner("tsad",
                               [this](const net::Request& request) {
                                   const auto body = parse_json(as_text(request.body));
                                   const auto month = text_member(body, "month");
                                   const auto why = text_member(body, "why");
                                   const auto by = text_member(body, "by");
                                   Done done = check_why_and_by(why, by);
                                   if (done)
                                       done = wish_renewal(month, why, by,
                                                           account_text(request.peer.process->uid));
                                   return done ? Response::json(200, json_text(json{{"month", month}}))
                                               : net::problem(done.error());
                               }),
                {{"application/json"}, std::nullopt});
}

}  // namespace kokuin::tsa
