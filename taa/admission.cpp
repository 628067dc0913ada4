#include "taa/admission.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/account.h"
#include "base/text.h"
#include "taa/report.h"

namespace kokuin::taa {
namespace {

using State = Admission::State;

constexpr std::string_view successor_kind = "tsu.successor";
constexpr std::string_view succeeded_kind = "tsu.succeeded";
constexpr std::string_view compromised_kind = "tsu.compromised";

struct StepFacts {
    Step step;
    std::string_view name;
    std::string_view event;
};
constexpr std::array steps{
    StepFacts{Step::admit, "admit", "tsu.admitted"}, StepFacts{Step::review, "review", "tsu.reviewed"},
    StepFacts{Step::suspend, "suspend", "tsu.suspended"}, StepFacts{Step::resume, "resume", "tsu.resumed"},
    StepFacts{Step::remove, "remove", "tsu.removed"}};

const StepFacts& facts(Step step) {
    return steps.at(static_cast<std::size_t>(step));
}

bool looks_at_it(Step step) {
    return step == Step::admit || step == Step::review;
}

std::string date(WallTime at) {
    return to_rfc3339(at, 0);
}

void apply(Admission& admission, Step step, const store::Event& event, WallTime at,
           store::RecordNumber number) {
    if (looks_at_it(step)) {
        admission.identity = {event.value<std::string>("certificate"), event.value<std::string>("peer"),
                              event.value<std::string>("called")};
        if (!event.blobs.empty()) admission.certificate = event.blobs.front();
        // Looked at anew: what followed another one is forgotten.
        if (step == Step::admit) {
            admission.predecessors.clear();
            admission.candidates.clear();
        }
        admission.reviewed = at;
        admission.reviewed_in = number;
    }
    if (step == Step::review) return;
    admission.state = step == Step::suspend  ? State::suspended
                      : step == Step::remove ? State::removed
                                             : State::admitted;
    if (auto tsa = event.value<std::string>("tsa"); !tsa.empty()) admission.tsa = std::move(tsa);
    admission.since = at;
    admission.why = event.text;
    admission.by = event.value<std::string>("by");
    admission.account = event.value<std::string>("account");
}

/// What came of a successor, or of a key.
void apply_notice(Admission& admission, const store::Event& event, WallTime at) {
    const auto certificate = event.value<std::string>("certificate");
    if (event.kind == compromised_kind) {
        admission.compromised.emplace(certificate, at);
        return;
    }
    if (event.blobs.empty() || certificate.empty()) return;
    if (event.kind == successor_kind) {
        admission.candidates.insert_or_assign(certificate, event.blobs.front());
        return;
    }
    admission.predecessors.insert(event.value<std::string>("predecessor"));
    admission.predecessors.erase(certificate);
    admission.candidates.erase(certificate);
    admission.identity.certificate = certificate;
    admission.certificate = event.blobs.front();
}

store::Event succession_event(std::string_view kind, const std::string& tsu, const pki::Certificate& next) {
    store::Event event;
    event.kind = std::string(kind);
    event.subject = tsu;
    event.fields["certificate"] = to_hex(next.sha256());
    event.fields["certificate_subject"] = one_line(next.subject_text(), longest_why);
    event.blobs.push_back(store::blob_id(next.der()));
    return event;
}

/// Why the step can't be taken now; nothing: it can.
std::optional<std::string> objection(Step step, const Admission& admission) {
    const auto state = admission.state;
    const auto is =
        std::string(name(state)) + (state == State::unknown ? "" : " since " + date(admission.since));
    switch (step) {
        case Step::admit:
            if (state == State::admitted || state == State::suspended)
                return "is " + is + " already" +
                       (state == State::suspended ? "; taad tsu resume serves it again" : "");
            return std::nullopt;
        case Step::review:
            if (state == State::admitted || state == State::suspended) return std::nullopt;
            return "is " + is + "; only what is admitted is reviewed";
        case Step::suspend:
            if (state == State::admitted) return std::nullopt;
            return "is " + is + "; only what is admitted is suspended";
        case Step::resume:
            if (state == State::suspended) return std::nullopt;
            return "is " + is + "; only what is suspended is resumed";
        case Step::remove:
            if (state == State::admitted || state == State::suspended) return std::nullopt;
            return "is " + is + "; there is nothing to remove";
    }
    return "can't be done";
}

/// What has come of the audits of a TSU since it was looked at last.
struct Record {
    std::int64_t audits = 0;
    std::int64_t good = 0;
    std::int64_t stops = 0;
};

Result<Record> record_of(const store::Archive& archive, const std::string& tsu, const Admission& last) {
    Record record;
    store::EventQuery query;
    query.kind = "audit";
    query.subject = tsu;
    query.from = last.reviewed;
    auto done = archive.events(query, [&](const store::Found& found) {
        if (found.record.number <= last.reviewed_in) return true;
        const auto outcome = found.event().value<std::string>("outcome");
        ++record.audits;
        if (outcome == name(Outcome::good)) ++record.good;
        if (outcome == name(Outcome::stop)) ++record.stops;
        return true;
    });
    if (!done) return std::move(done).error();
    return record;
}

std::int64_t us(nanoseconds duration) {
    return std::chrono::duration_cast<microseconds>(duration).count();
}

}  // namespace

std::string_view name(Step step) {
    return facts(step).name;
}

std::optional<Step> step_of(std::string_view name) {
    for (const auto& one : steps)
        if (one.name == name) return one.step;
    return std::nullopt;
}

bool is_step(std::string_view kind) {
    return std::any_of(steps.begin(), steps.end(),
                       [kind](const StepFacts& one) { return one.event == kind; });
}

std::string_view name(Admission::State state) {
    switch (state) {
        case State::unknown:
            return "unknown";
        case State::admitted:
            return "admitted";
        case State::suspended:
            return "suspended";
        case State::removed:
            return "removed";
    }
    return "unknown";
}

Identity identity_of(const TsuSettings& settings, const pki::Certificate& certificate) {
    return {to_hex(certificate.sha256()), settings.peer, settings.called};
}

std::optional<std::string> refusal(const std::string& tsu, const Admission& admission,
                                   const std::optional<Identity>& now, const std::string& audited) {
    const auto command = [&tsu](Step step) {
        return "taad tsu " + std::string(name(step)) + " " + tsu + " --why TEXT --by WHO";
    };
    if (!now) return tsu + " isn't configured";
    switch (admission.state) {
        case State::unknown:
            return tsu + " isn't admitted; look at it, then: " + command(Step::admit);
        case State::removed:
            return tsu + " was removed on " + date(admission.since) + " (" + admission.why +
                   "); to serve it again: " + command(Step::admit);
        case State::suspended:
            return tsu + " is suspended since " + date(admission.since) + " (" + admission.why +
                   "); to serve it again: " + command(Step::resume);
        case State::admitted:
            break;
    }
    if (const auto known = admission.compromised.find(audited); known != admission.compromised.end())
        return tsu + " has told on " + date(known->second) + " that the key of its certificate " +
               known->first.substr(0, 16) + "… is compromised; it is served again with another one";
    if (admission.identity == *now) return std::nullopt;
    std::string differs;
    const auto add = [&differs](bool is, const char* what) {
        if (is) differs += std::string(differs.empty() ? "" : ", ") + what;
    };
    add(admission.identity.certificate != now->certificate, "its certificate");
    add(admission.identity.peer != now->peer, "its peer");
    add(admission.identity.called != now->called, "its name");
    return tsu + " isn't the one that was looked at on " + date(admission.reviewed) + " (another is " +
           differs + "); look at it, then: " + command(Step::review);
}

std::optional<WallTime> review_due(const Admission& admission, nanoseconds within) {
    if (admission.state != State::admitted && admission.state != State::suspended) return std::nullopt;
    return admission.reviewed + within;
}

Identity effective(const Admission& admission, Identity configured) {
    if (admission.predecessors.count(configured.certificate) > 0)
        configured.certificate = admission.identity.certificate;
    return configured;
}

Result<std::map<std::string, Admission>> read_admissions(const EventSearch& search) {
    struct Taken {
        std::optional<Step> step;  // nothing: a TSU's notice
        store::Found found;
    };
    std::map<store::RecordNumber, Taken> all;
    for (const auto& one : steps) {
        store::EventQuery query;
        query.kind = std::string(one.event);
        auto done = search(query, [&](const store::Found& found) {
            all.emplace(found.record.number, Taken{one.step, found});
            return true;
        });
        if (!done) return std::move(done).error();
    }
    for (const auto kind : {successor_kind, succeeded_kind, compromised_kind}) {
        store::EventQuery notices;
        notices.kind = std::string(kind);
        auto read = search(notices, [&](const store::Found& found) {
            all.emplace(found.record.number, Taken{std::nullopt, found});
            return true;
        });
        if (!read) return std::move(read).error();
    }
    std::map<std::string, Admission> out;
    for (const auto& [number, taken] : all) {
        const auto& event = taken.found.event();
        const WallTime at(microseconds(taken.found.record.at_us));
        if (taken.step)
            apply(out[event.subject], *taken.step, event, at, number);
        else
            apply_notice(out[event.subject], event, at);
    }
    return out;
}

Result<std::unique_ptr<Admissions>> Admissions::open(store::Archive& archive, const WallClock& wall,
                                                     const std::vector<AuditedTsu>& tsus) {
    auto known = read_admissions([&](const store::EventQuery& query, const store::Visitor& visit) {
        return archive.events(query, visit);
    });
    if (!known) return std::move(known).error();
    std::unique_ptr<Admissions> made(new Admissions(archive, wall, tsus));
    for (auto& [tsu, admission] : *known) made->rows_[tsu].admission = std::move(admission);
    for (const auto& tsu : made->tsus_) {
        auto& row = made->rows_[tsu.settings.name];
        row.configured = &tsu;
        if (row.admission.predecessors.count(to_hex(tsu.certificate.sha256())) == 0 ||
            !row.admission.certificate)
            continue;
        const auto der = archive.blob(*row.admission.certificate);
        if (!der) return der.error();
        auto successor = pki::Certificate::from_der(*der);
        if (!successor)
            return std::move(successor).error().in("the successor's certificate of " + tsu.settings.name);
        row.successor = std::move(*successor);
    }
    return made;
}

const Admissions::Row* Admissions::find(const std::string& tsu) const {
    const auto row = rows_.find(tsu);
    return row == rows_.end() ? nullptr : &row->second;
}

Done Admissions::describe(const AuditedTsu& tsu, const Admission& admission, Step step, store::Event& event,
                          std::vector<store::Blob>& blobs) const {
    const auto& settings = tsu.settings;
    // Admitted is what the configuration names; reviewed what that stands for now.
    const auto certificate = step == Step::admit ? tsu.certificate : this->certificate(settings.name);
    const auto identity = identity_of(settings, certificate);
    auto& fields = event.fields;
    fields["certificate"] = identity.certificate;
    fields["certificate_subject"] = one_line(certificate.subject_text(), longest_why);
    fields["peer"] = identity.peer;
    fields["called"] = identity.called;
    fields["audit"] = config::to_text(settings.audit);
    fields["policy"] = settings.rules.policy;
    fields["max_offset_us"] = us(settings.rules.max_offset);
    fields["max_delay_us"] = us(settings.rules.max_delay);
    blobs.emplace_back(Bytes(certificate.der().begin(), certificate.der().end()));
    event.blobs.push_back(blobs.back().id());
    if (step != Step::review) return {};
    const auto record = record_of(archive_, settings.name, admission);
    if (!record) return record.error();
    fields["audits"] = record->audits;
    fields["good"] = record->good;
    fields["stops"] = record->stops;
    fields["failed"] = record->audits - record->good - record->stops;
    return {};
}

Result<store::RecordNumber> Admissions::take(const Order& order) {
    if (auto done = check_why_and_by(order.why, order.by); !done) return std::move(done).error();
    const auto at = rows_.find(order.tsu);
    if (at == rows_.end() || (looks_at_it(order.step) && !at->second.configured))
        return Error::usage("there is no [tsu." + one_line(order.tsu, 64) +
                            "] in the configuration; a running taad knows those it was started with");
    auto& row = at->second;

    // Only a step changes the row, and this lock lets in one at a time; audits of other TSUs need not wait
    // for it.
    const std::lock_guard leaving(row.leaving);
    Admission admission;
    {
        const std::lock_guard lock(mutex_);
        admission = row.admission;
    }
    if (const auto why_not = objection(order.step, admission)) return Error::no(order.tsu + " " + *why_not);
    if (looks_at_it(order.step) &&
        order.identity != identity_of(row.configured->settings, row.configured->certificate))
        return Error::no("taad was started with another certificate, peer or name of " + order.tsu +
                         " than the configuration has now; restart it, then do this again");

    store::Event event;
    event.kind = std::string(facts(order.step).event);
    event.subject = order.tsu;
    event.text = order.why;
    event.fields["account"] = order.account;
    event.fields["by"] = order.by;
    if (const auto& tsa = row.configured ? row.configured->settings.tsa : admission.tsa; !tsa.empty())
        event.fields["tsa"] = tsa;
    std::vector<store::Blob> blobs;
    if (looks_at_it(order.step))
        if (auto done = describe(*row.configured, admission, order.step, event, blobs); !done)
            return std::move(done).error();
    const auto now = wall_.now();
    // Nobody has proved this clock: it begins no month.
    auto number = archive_.append(now, event, blobs, store::Archive::Month::stays);
    if (!number) return std::move(number).error();
    apply(admission, order.step, event, std::chrono::floor<microseconds>(now), *number);
    const std::lock_guard lock(mutex_);
    row.admission = std::move(admission);
    if (order.step == Step::admit) row.successor.reset();
    return *number;
}

Result<bool> Admissions::audited_successor(const std::string& tsu, const pki::Certificate& next) {
    const auto at = rows_.find(tsu);
    if (at == rows_.end() || !at->second.configured)
        return Error::usage("there is no [tsu." + one_line(tsu, 64) + "]");
    auto& row = at->second;
    const std::lock_guard leaving(row.leaving);
    {
        const std::lock_guard lock(mutex_);
        if (row.admission.candidates.count(to_hex(next.sha256())) > 0) return false;
    }
    const store::Blob blob(Bytes(next.der().begin(), next.der().end()));
    auto event = succession_event(successor_kind, tsu, next);
    event.text = "its next certificate is audited, and has its TAC: " + next.subject_text();
    const auto number = archive_.append(wall_.now(), event, {blob}, store::Archive::Month::stays);
    if (!number) return number.error();
    const std::lock_guard lock(mutex_);
    apply_notice(row.admission, event, wall_.now());
    return true;
}

Result<bool> Admissions::succeed(const std::string& tsu, View certificate_sha256) {
    const auto at = rows_.find(tsu);
    if (at == rows_.end() || !at->second.configured) return false;
    auto& row = at->second;
    const std::lock_guard leaving(row.leaving);
    std::optional<store::BlobId> id;
    {
        const std::lock_guard lock(mutex_);
        const auto candidate = row.admission.candidates.find(to_hex(certificate_sha256));
        if (row.admission.state != Admission::State::admitted || candidate == row.admission.candidates.end())
            return false;
        id = candidate->second;
    }
    const auto der = archive_.blob(*id);
    if (!der) return der.error();
    auto next = pki::Certificate::from_der(*der);
    if (!next) return std::move(next).error();
    auto event = succession_event(succeeded_kind, tsu, *next);
    event.text = "it signs with its successor from now on: " + next->subject_text();
    event.fields["predecessor"] = to_hex(certificate(tsu).sha256());
    const auto number =
        archive_.append(wall_.now(), event, {store::Blob(*der)}, store::Archive::Month::stays);
    if (!number) return number.error();
    const std::lock_guard lock(mutex_);
    apply_notice(row.admission, event, wall_.now());
    row.successor = std::move(*next);
    return true;
}

Result<bool> Admissions::compromised(const std::string& tsu, View certificate_sha256,
                                     const std::string& text) {
    const auto at = rows_.find(tsu);
    if (at == rows_.end() || !at->second.configured)
        return Error::usage("there is no [tsu." + one_line(tsu, 64) + "]");
    auto& row = at->second;
    const auto which = to_hex(certificate_sha256);
    const std::lock_guard leaving(row.leaving);
    {
        const std::lock_guard lock(mutex_);
        const auto& known = row.admission;
        if (known.compromised.count(which) > 0) return false;
        if (known.identity.certificate != which && known.predecessors.count(which) == 0 &&
            known.candidates.count(which) == 0 && to_hex(row.configured->certificate.sha256()) != which)
            return Error::no("no certificate of " + tsu + " is known here by that SHA-256");
    }
    store::Event event;
    event.kind = std::string(compromised_kind);
    event.subject = tsu;
    event.text = one_line(text, longest_why);
    event.fields["certificate"] = which;
    const auto now = wall_.now();
    const auto number = archive_.append(now, event, {}, store::Archive::Month::stays);
    if (!number) return number.error();
    const std::lock_guard lock(mutex_);
    apply_notice(row.admission, event, now);
    return true;
}

bool Admissions::is_predecessor(const std::string& tsu, View certificate_sha256) const {
    const auto* row = find(tsu);
    const std::lock_guard lock(mutex_);
    return row && row->admission.predecessors.count(to_hex(certificate_sha256)) > 0;
}

pki::Certificate Admissions::certificate(const std::string& tsu) const {
    const auto* row = find(tsu);
    const std::lock_guard lock(mutex_);
    return row->successor ? *row->successor : row->configured->certificate;
}

std::vector<Admissions::Overdue> Admissions::overdue(nanoseconds within) const {
    std::vector<Overdue> out;
    const auto now = wall_.now();
    const std::lock_guard lock(mutex_);
    for (const auto& [tsu, row] : rows_)
        if (const auto due = review_due(row.admission, within);
            row.configured && row.admission.state == State::admitted && due && *due < now)
            out.push_back({tsu, "its review is overdue since " + date(*due) +
                                    "; look at it, then: taad tsu review " + tsu + " --why TEXT --by WHO"});
    return out;
}

std::optional<std::string> Admissions::refusal(const std::string& tsu, View audited) const {
    const auto* row = find(tsu);
    if (!row) return tsu + " isn't configured";
    const std::lock_guard lock(mutex_);
    std::optional<Identity> now;
    if (row->configured)
        now = effective(row->admission, identity_of(row->configured->settings, row->configured->certificate));
    return taa::refusal(tsu, row->admission, now, to_hex(audited));
}

std::unique_lock<std::mutex> Admissions::hold(const std::string& tsu) const {
    const auto* row = find(tsu);
    return row ? std::unique_lock(row->leaving) : std::unique_lock<std::mutex>();
}

}  // namespace kokuin::taa
