#include "audit/report/course.h"

#include <algorithm>

#include "base/text.h"

namespace kokuin::audit::report {
namespace {

std::string text_field(const store::Event& event, const std::string& key) {
    return one_line(event.value<std::string>(key), any_length);
}

}  // namespace

bool Course::is_sign_of_life(const std::string& kind) {
    static const char* const kinds[] = {"gate.", "tac.",    "reference.", "clock.",
                                        "leap.", "server.", "refusals"};
    return std::any_of(std::begin(kinds), std::end(kinds),
                       [&](const char* one) { return kind.starts_with(one); });
}

bool Course::follows_from(const std::string& kind) {
    static const char* const kinds[] = {"server.",
                                        "gate.",
                                        "hsm.",
                                        "reference.",
                                        "revocation.",
                                        "checkpoint.",
                                        "witness.away",
                                        "witness.back",
                                        "copy.late",
                                        "copy.back",
                                        "witness.conflict",
                                        "programs.changed",
                                        "programs.memory",
                                        "programs.traced",
                                        "programs.settled",
                                        "custody.activated",
                                        "custody.kept",
                                        "custody.deactivated"};
    return std::any_of(std::begin(kinds), std::end(kinds),
                       [&](const char* one) { return kind.starts_with(one); });
}

void Course::add(store::RecordNumber number, WallTime at, const store::Event& event) {
    const auto& kind = event.kind;
    if (kind == "server.started" || kind == "server.stopped") {
        server(number, at, event);
    } else if (kind == "gate.closed" || kind == "gate.opened") {
        if (tsu_.empty() || event.subject == tsu_) gate(at, event);
    } else if (kind.starts_with("custody.")) {
        custody(number, at, event);
    } else if (kind.starts_with("key.")) {
        if (const auto token = text_field(event, "token"); !token.empty()) token_of_[event.subject] = token;
    } else if (kind == "hsm.lost") {
        begin("hsm", event.subject, at, "lost", event.text);
    } else if (kind == "hsm.back") {
        end("hsm", event.subject, at);
    } else if (kind == "reference.silent" || kind == "reference.unsynchronised" ||
               kind == "reference.stale") {
        begin("reference", "", at, kind.substr(kind.find('.') + 1), event.text);
    } else if (kind == "reference.good") {
        end("reference", "", at);
    } else if (kind == "revocation.unknown") {
        begin("revocation", text_field(event, "certificate"), at, "unknown", event.text);
    } else if (kind == "revocation.known") {
        end("revocation", text_field(event, "certificate"), at);
    } else if (kind == "checkpoint.late") {
        begin("checkpoint", "", at, "late", event.text);
    } else if (kind == "checkpoint.back") {
        end("checkpoint", "", at);
    } else if (kind == "witness.away" || kind == "witness.conflict") {
        begin("witness", event.subject, at, kind.substr(kind.find('.') + 1), event.text);
    } else if (kind == "witness.back") {
        end("witness", event.subject, at);
    } else if (kind == "copy.late") {
        begin("copy", "", at, "late", event.text);
        lasting_.at({"copy", ""}).stops = event.value<std::int64_t>("waits") != 0;
    } else if (kind == "copy.back") {
        end("copy", "", at);
    } else if (kind == "programs.changed" || kind == "programs.memory" || kind == "programs.traced") {
        // What is only told is no outage.
        if (event.value<std::int64_t>("stops") == 0) return;
        begin("programs", "", at, kind.substr(kind.find('.') + 1), event.text);
        lasting_.at({"programs", ""}).stops = true;
    } else if (kind == "programs.settled") {
        if (event.value<std::int64_t>("left") == 0) end("programs", "", at);
    }
}

void Course::server(store::RecordNumber number, WallTime at, const store::Event& event) {
    if (event.kind == "server.stopped") {
        down(at);
        running_ = false;
        down_at_ = number;
        begin("server", "", at, "stopped", event.text);
        return;
    }
    if (running_) {
        // Nothing said that it ended.
        const auto sign = last_sign_(number);
        const auto last = sign ? sign->second : at;
        if (sign) down_at_ = sign->first;
        down(last);
        begin("server", "", last, "crashed", "", false);
    }
    end("server", "", at);
    running_ = true;
    up_since_ = at;
    if (!first_up_) first_up_ = at;
    for (const auto& [token, activated] : activated_)
        if (activated <= down_at_) begin("custody", token, at, "locked", "");
}

void Course::custody(store::RecordNumber number, WallTime at, const store::Event& event) {
    const auto& token = event.subject;
    if (event.kind == "custody.activated" || event.kind == "custody.kept") {
        const auto known = activated_.find(token);
        const bool first = known == activated_.end();
        activated_[token] = number;
        if (!running_) return;
        if (first) begin("custody", token, up_since_, "locked", "");
        end("custody", token, at);
    } else if (event.kind == "custody.deactivated") {
        activated_[token] = -1;
        if (running_) begin("custody", token, at, "deactivated", event.text);
    }
}

void Course::gate(WallTime at, const store::Event& event) {
    const auto policies = text_field(event, "policies");
    auto& known = gates_[{event.subject, policies}];
    const auto subject = event.subject + (policies.empty() ? "" : " / " + policies);
    if (event.kind == "gate.opened") {
        if (!known.open_since) known.open_since = at;
        return end("gate", subject, at);
    }
    shut(known, at);
    begin("gate", subject, at, text_field(event, "cause"), event.text);
}

void Course::down(WallTime at) {
    for (auto& [key, gate] : gates_) shut(gate, at);
    std::vector<Key> all;
    for (const auto& [key, outage] : lasting_) all.push_back(key);
    // Revocation is asked for anew after each start.
    for (const auto& key : all) end(key.first, key.second, at);
}

void Course::shut(Gate& gate, WallTime at) {
    if (!gate.open_since) return;
    if (at > month_.start() && at > *gate.open_since) gate.open.push_back({*gate.open_since, at});
    gate.open_since.reset();
}

void Course::begin(const std::string& what, const std::string& subject, WallTime at, std::string cause,
                   std::string text, bool recorded) {
    const auto known = lasting_.find({what, subject});
    if (known != lasting_.end() && known->second.cause == cause) return;
    end(what, subject, at);
    lasting_[{what, subject}] = {what, subject, std::move(cause), one_line(text, any_length),
                                 at,   {},      recorded,         false};
}

void Course::end(const std::string& what, const std::string& subject, WallTime at) {
    const auto known = lasting_.find({what, subject});
    if (known == lasting_.end()) return;
    known->second.to = std::max(at, known->second.from);
    if (at >= month_.start()) over_.push_back(std::move(known->second));
    lasting_.erase(known);
}

void Course::finish(WallTime from, WallTime until, Report& report) {
    // Before there was a server nobody could miss it.
    if (first_up_) from = std::clamp(*first_up_, from, until);
    for (auto& [key, outage] : lasting_) over_.push_back(std::move(outage));
    std::stable_sort(over_.begin(), over_.end(),
                     [](const Outage& a, const Outage& b) { return a.from < b.from; });
    for (auto& [key, gate] : gates_) {
        shut(gate, until);
        const auto inside = [&](WallTime a, WallTime b) {
            return std::max(std::min(b, until) - std::max(a, from), nanoseconds(0));
        };
        Availability row{key.first, key.second, {}, until > from ? until - from : nanoseconds(0)};
        const auto token = token_of_.find(key.first);
        for (const auto& open : gate.open) {
            row.open += inside(open.from, open.to);
            // A gate knows nothing of the key behind it, of programs or copies. What overlaps counts once:
            // each begins where the last ended.
            WallTime counted = open.from;
            for (const auto& outage : over_) {
                const bool of_token = outage.what == "hsm" || outage.what == "custody";
                if (!of_token && !outage.stops) continue;
                if (of_token && token != token_of_.end() && outage.subject != token->second) continue;
                const auto begin = std::max(outage.from, counted);
                const auto end = std::min(outage.to.value_or(until), open.to);
                if (end <= begin) continue;
                row.open -= inside(begin, end);
                counted = end;
            }
        }
        report.availability.push_back(std::move(row));
    }
    for (auto& outage : over_) report.outages.add(std::move(outage));
}

}  // namespace kokuin::audit::report
