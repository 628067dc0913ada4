#include "tsa/key_life.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "hsm/token.h"
#include "pki/hash.h"

namespace kokuin::tsa {
namespace {

constexpr std::string_view compromised_kind = "key.compromised";
constexpr std::string_view told_kind = "key.compromise-told";

struct StateFacts {
    KeyState state;
    std::string_view name;
    std::string_view event;
};
constexpr std::array states{StateFacts{KeyState::generated, "generated", "key.generated"},
                            StateFacts{KeyState::requested, "requested", "key.requested"},
                            StateFacts{KeyState::certified, "certified", "key.certified"},
                            StateFacts{KeyState::active, "active", "key.activated"},
                            StateFacts{KeyState::retired, "retired", "key.retired"},
                            StateFacts{KeyState::destroyed, "destroyed", "key.destroyed"}};

const StateFacts& facts(KeyState state) {
    return states.at(static_cast<std::size_t>(state));
}

/// What may come after a state. A key that was never used needn't be retired.
std::vector<KeyState> next_of(KeyState state) {
    switch (state) {
        case KeyState::generated:
            return {KeyState::requested, KeyState::certified, KeyState::destroyed};
        case KeyState::requested:
            return {KeyState::requested, KeyState::certified, KeyState::destroyed};
        case KeyState::certified:
            return {KeyState::active, KeyState::retired, KeyState::destroyed};
        case KeyState::active:
            return {KeyState::retired};
        case KeyState::retired:
            return {KeyState::destroyed};
        case KeyState::destroyed:
            return {};
    }
    return {};
}

WallTime add_months(WallTime from, int count) {
    const auto day = std::chrono::floor<std::chrono::days>(from.time_since_epoch());
    const std::chrono::year_month_day date{std::chrono::sys_days(day)};
    auto then = date + std::chrono::months(count);
    if (!then.ok()) then = then.year() / then.month() / std::chrono::last;
    return WallTime(std::chrono::sys_days(then).time_since_epoch()) + (from.time_since_epoch() - day);
}

KeyEntry fresh(const std::string& label, const store::Event& event, WallTime at) {
    KeyEntry entry;
    entry.label = label;
    entry.tsu = event.subject;
    entry.since = at;
    entry.token = event.value<std::string>("token");
    entry.id = event.value<std::string>("id");
    entry.spki_sha256 = event.value<std::string>("spki_sha256");
    // Records before there were others don't say.
    if (auto type = event.value<std::string>("type"); !type.empty()) entry.type = std::move(type);
    entry.why = event.text;
    return entry;
}

store::Event event_of(KeyState state, const KeyEntry& entry, const KeyStep& step) {
    store::Event event;
    event.kind = std::string(facts(state).event);
    event.subject = entry.tsu;
    event.text = step.why;
    event.fields["key"] = entry.label;
    if (!entry.token.empty()) event.fields["token"] = entry.token;
    event.fields["spki_sha256"] = entry.spki_sha256;
    event.fields["by"] = step.by;
    event.fields["account"] = step.account;
    if (!step.agreed_in.empty()) event.fields["proposal"] = step.agreed_in;
    if (!step.custodians.empty()) event.fields["custodians"] = step.custodians;
    return event;
}

/// The record of a new key.
store::Event generated_event(const KeyEntry& entry, const std::string& id, View spki, const KeyStep& step) {
    auto event = event_of(KeyState::generated, entry, step);
    event.fields["id"] = id;
    if (const auto type = hsm::algorithm_of(spki)) event.fields["type"] = std::string(hsm::name(*type));
    return event;
}

std::string key_digest(View spki) {
    return to_hex(pki::digest(pki::Hash::sha256, spki));
}

store::Blob blob_of(View octets) {
    return store::Blob(Bytes(octets.begin(), octets.end()));
}

}  // namespace

std::string_view name(KeyState state) {
    return facts(state).name;
}

WallTime signs_until(WallTime activated, WallTime not_after) {
    return std::min(add_months(activated, 13), not_after);
}

WallTime destroy_by(WallTime retired) {
    return add_months(retired, 1);
}

bool is_overdue(const KeyEntry& entry, WallTime now) {
    return entry.state == KeyState::retired && entry.retired && destroy_by(*entry.retired) < now;
}

std::vector<std::string> key_warnings(const KeyLife& life, WallTime now) {
    std::vector<std::string> out;
    for (const auto& entry : life.all()) {
        if (entry.state == KeyState::retired && entry.retired)
            out.push_back(
                "key " + entry.label + " is retired and " +
                (is_overdue(entry, now) ? "OVERDUE for destruction since " : "must be destroyed by ") +
                to_rfc3339(destroy_by(*entry.retired), 0) + " (KEY-5): tsactl key destroy " + entry.label);
        if (entry.state == KeyState::active && entry.activated) {
            const auto until = signs_until(*entry.activated, entry.not_after);
            if (until - now < std::chrono::days(60))
                out.push_back("key " + entry.label + " of " + entry.tsu +
                              (until < now ? " ENDED at " : " signs until ") + to_rfc3339(until, 0) +
                              " (KEY-4): have a successor certified, then tsactl key rotate");
        }
    }
    return out;
}

std::vector<std::pair<store::Event, std::vector<store::Blob>>> records_of_new_key(
    const std::string& label, const std::string& tsu, const std::string& token, const std::string& id,
    View spki, const std::string& csr, const KeyStep& step) {
    KeyEntry entry;
    entry.label = label;
    entry.tsu = tsu;
    entry.token = token;
    entry.spki_sha256 = key_digest(spki);
    std::vector<std::pair<store::Event, std::vector<store::Blob>>> records;
    records.emplace_back(generated_event(entry, id, spki, step), std::vector<store::Blob>());
    if (csr.empty()) return records;
    records.emplace_back(event_of(KeyState::requested, entry, step), std::vector{blob_of(as_view(csr))});
    records.back().first.blobs.push_back(records.back().second.front().id());
    return records;
}

Result<std::unique_ptr<KeyLife>> KeyLife::open(store::Archive& archive, Journal& journal) {
    std::unique_ptr<KeyLife> life(new KeyLife(archive, journal));
    // Each kind is found by the archive's index; together they tell their story in the order of their
    // numbers.
    std::map<store::RecordNumber, store::Record> steps;
    const auto read = [&](std::string_view kind) {
        store::EventQuery query;
        query.kind = std::string(kind);
        return archive.events(query, [&steps](const store::Found& found) {
            steps.emplace(found.record.number, found.record);
            return true;
        });
    };
    for (const auto& state : states)
        if (auto done = read(state.event); !done) return std::move(done).error();
    for (const auto kind : {compromised_kind, told_kind})
        if (auto done = read(kind); !done) return std::move(done).error();
    for (const auto& [number, record] : steps)
        life->apply(std::get<store::Event>(record.body), from_unix_us(record.at_us));
    return life;
}

void KeyLife::apply(const store::Event& event, WallTime at) {
    if (event.kind == told_kind) {
        const auto which = event.value<std::string>("certificate");
        for (auto& one : compromises_)
            if (one.key.certificate_sha256 == which) one.told = true;
        return;
    }
    const auto label = event.value<std::string>("key");
    if (label.empty()) return;  // of those that aren't steps
    const auto state = std::find_if(states.begin(), states.end(),
                                    [&event](const StateFacts& one) { return one.event == event.kind; });
    const bool compromised = event.kind == compromised_kind;
    if (state == states.end() && !compromised) return;
    auto& entry = entries_[label];
    // The label of a key that is gone may be another's now, which nobody generated under records.
    if (entry.state == KeyState::destroyed && state != states.end() && state->state != KeyState::destroyed)
        entry = fresh(label, event, at);
    entry.label = label;
    entry.tsu = event.subject;
    entry.why = event.text;
    if (auto token = event.value<std::string>("token"); !token.empty()) entry.token = std::move(token);
    if (const auto spki = event.value<std::string>("spki_sha256"); !spki.empty()) entry.spki_sha256 = spki;
    if (compromised) {
        if (!entry.compromised && !entry.certificates.empty()) compromises_.push_back({entry, at, false});
        entry.compromised = true;
        // This record alone ends it: the one of its retirement may not have come to be.
        if (entry.state == KeyState::active || entry.state == KeyState::certified) {
            entry.state = KeyState::retired;
            entry.since = at;
            entry.retired = at;
            entry.order = ++steps_;
        }
        return;
    }
    // A new certificate for a key that signs doesn't stop it.
    if (entry.state != KeyState::active || state->state != KeyState::certified) {
        entry.state = state->state;
        entry.since = at;
        entry.order = ++steps_;
    }
    switch (state->state) {
        case KeyState::generated:
            // The label of a key that is gone may be given again.
            entry = fresh(label, event, at);
            entry.order = ++steps_;
            break;
        case KeyState::certified:
            entry.certificate_sha256 = event.value<std::string>("certificate");
            if (const auto* us = event.find<std::int64_t>("not_after_us"))
                entry.not_after = from_unix_us(*us);
            if (!event.blobs.empty()) {
                entry.certificate = event.blobs.front();
                entry.certificates.push_back(event.blobs.front());
                entry.chain.assign(event.blobs.begin() + 1, event.blobs.end());
            }
            break;
        case KeyState::active: {
            const auto before = event.fields.find("activated_us");
            const auto* us =
                before == event.fields.end() ? nullptr : std::get_if<std::int64_t>(&before->second);
            if (!entry.activated) entry.activated = us ? from_unix_us(*us) : at;
            break;
        }
        case KeyState::retired:
            entry.retired = at;
            break;
        case KeyState::requested:
        case KeyState::destroyed:
            break;
    }
}

std::vector<KeyEntry> KeyLife::all() const {
    const std::lock_guard lock(mutex_);
    std::vector<KeyEntry> out;
    for (const auto& [label, entry] : entries_) out.push_back(entry);
    return out;
}

std::vector<Compromise> KeyLife::compromises() const {
    const std::lock_guard lock(mutex_);
    return compromises_;
}

Done KeyLife::told(const std::string& certificate_sha256) {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(compromises_.begin(), compromises_.end(), [&](const Compromise& one) {
        return one.key.certificate_sha256 == certificate_sha256;
    });
    if (at == compromises_.end()) return Error::no("no compromised key has that certificate");
    store::Event event;
    event.kind = std::string(told_kind);
    event.subject = at->key.tsu;
    event.text = "the TAA knows that the key is compromised";
    event.fields["key"] = at->key.label;
    event.fields["certificate"] = certificate_sha256;
    return record(std::move(event));
}

std::optional<KeyEntry> KeyLife::find(const std::string& label) const {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(label);
    return at == entries_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<KeyEntry> KeyLife::active(const std::string& tsu) const {
    const std::lock_guard lock(mutex_);
    // A crash between two records may have left the one that was to be retired: the later one is meant.
    std::optional<KeyEntry> found;
    for (const auto& [label, entry] : entries_)
        if (entry.tsu == tsu && entry.state == KeyState::active && (!found || entry.order > found->order))
            found = entry;
    return found;
}

Result<std::pair<pki::Certificate, std::vector<pki::Certificate>>> KeyLife::certificates(
    const KeyEntry& entry) const {
    if (!entry.certificate) return Error::no("the key '" + entry.label + "' has no certificate yet");
    const auto load = [this, &entry](const store::BlobId& id) -> Result<pki::Certificate> {
        const auto der = archive_.blob(id);
        if (!der) return der.error();
        auto certificate = pki::Certificate::from_der(*der);
        if (!certificate)
            return std::move(certificate).error().in("the archive's certificate of '" + entry.label + "'");
        return certificate;
    };
    auto own = load(*entry.certificate);
    if (!own) return std::move(own).error();
    std::vector<pki::Certificate> chain;
    for (const auto& id : entry.chain) {
        auto one = load(id);
        if (!one) return std::move(one).error();
        chain.push_back(std::move(*one));
    }
    return std::pair(std::move(*own), std::move(chain));
}

Done KeyLife::legal(const std::string& label, KeyState next) const {
    const std::lock_guard lock(mutex_);
    return legal_locked(label, next);
}

Done KeyLife::legal_locked(const std::string& label, KeyState next) const {
    const auto at = entries_.find(label);
    if (at == entries_.end())
        return Error::no("there is no record of a key '" + one_line(label, 64) +
                         "'; tsactl key list shows those there are");
    const auto& entry = at->second;
    const auto allowed = next_of(entry.state);
    if (entry.compromised && next != KeyState::retired && next != KeyState::destroyed)
        return Error::no("the key '" + label + "' is compromised: it can only be destroyed (KEY-6)");
    if (entry.type != "RSA" && (next == KeyState::certified || next == KeyState::active))
        return Error::no("the key '" + label + "' is an " + entry.type +
                         " key and can't become a TSU's: TSUs sign with RSA alone; make an RSA key");
    if (std::find(allowed.begin(), allowed.end(), next) != allowed.end()) return {};
    std::string legal;
    for (const auto one : allowed) legal += (legal.empty() ? "" : " or ") + std::string(name(one));
    return Error::no("the key '" + label + "' is " + std::string(name(entry.state)) + " and can't become " +
                     std::string(name(next)) + "; " +
                     (legal.empty() ? "it can't become anything any more" : "it can become " + legal));
}

Done KeyLife::record(store::Event event, const std::vector<store::Blob>& blobs) {
    for (const auto& blob : blobs) event.blobs.push_back(blob.id());
    const auto at = journal_.now();
    if (auto done = journal_.write(event, blobs); !done) return done;
    apply(event, at);
    return {};
}

Done KeyLife::generated(const std::string& label, const std::string& tsu, const std::string& id, View spki,
                        const KeyStep& step, const std::string& token) {
    const std::lock_guard lock(mutex_);
    if (const auto at = entries_.find(label); at != entries_.end() && at->second.state != KeyState::destroyed)
        return Error::no("there is a key '" + label + "' already: it is " +
                         std::string(name(at->second.state)));
    KeyEntry entry;
    entry.label = label;
    entry.tsu = tsu;
    entry.token = token;
    entry.spki_sha256 = key_digest(spki);
    return record(generated_event(entry, id, spki, step));
}

Done KeyLife::requested(const std::string& label, const std::string& pem, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    if (auto done = legal_locked(label, KeyState::requested); !done) return done;
    return record(event_of(KeyState::requested, entries_.at(label), step), {blob_of(as_view(pem))});
}

Done KeyLife::certified(const std::string& label, const pki::Certificate& certificate,
                        const std::vector<pki::Certificate>& chain, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    if (auto done = legal_locked(label, KeyState::certified); !done) return done;
    return certify_locked(entries_.at(label), certificate, chain, step);
}

Done KeyLife::certify_locked(const KeyEntry& entry, const pki::Certificate& certificate,
                             const std::vector<pki::Certificate>& chain, const KeyStep& step) {
    auto event = event_of(KeyState::certified, entry, step);
    event.fields["certificate"] = to_hex(certificate.sha256());
    event.fields["certificate_subject"] = one_line(certificate.subject_text(), 1000);
    event.fields["not_after_us"] = to_unix_us(certificate.not_after());
    std::vector<store::Blob> blobs{blob_of(certificate.der())};
    for (const auto& one : chain) blobs.push_back(blob_of(one.der()));
    return record(std::move(event), blobs);
}

Done KeyLife::activated(const std::string& label, WallTime since, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    if (auto done = legal_locked(label, KeyState::active); !done) return done;
    return activate_locked(label, since, step);
}

Done KeyLife::activate_locked(const std::string& label, WallTime since, const KeyStep& step) {
    auto event = event_of(KeyState::active, entries_.at(label), step);
    event.fields["activated_us"] = to_unix_us(since);
    return record(std::move(event));
}

Done KeyLife::retire_older(const std::string& tsu) {
    const auto last = active(tsu);
    const std::lock_guard lock(mutex_);
    std::vector<std::string> others;
    for (const auto& [other, entry] : entries_)
        if (last && other != last->label && entry.tsu == tsu && entry.state == KeyState::active)
            others.push_back(other);
    for (const auto& other : others)
        if (auto done = retire_locked(other, {"its successor " + last->label + " signs", "tsad", "", {}, {}});
            !done)
            return done;
    return {};
}

Done KeyLife::retire_locked(const std::string& label, const KeyStep& step) {
    auto event = event_of(KeyState::retired, entries_.at(label), step);
    event.fields["destroy_by"] = to_rfc3339(destroy_by(journal_.now()), 0);
    return record(std::move(event));
}

Done KeyLife::retired(const std::string& label, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    if (auto done = legal_locked(label, KeyState::retired); !done) return done;
    return retire_locked(label, step);
}

Done KeyLife::destroyed(const std::string& label, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    if (auto done = legal_locked(label, KeyState::destroyed); !done) return done;
    return record(event_of(KeyState::destroyed, entries_.at(label), step));
}

Done KeyLife::compromised(const std::string& label, const KeyStep& step) {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(label);
    if (at == entries_.end()) return legal_locked(label, KeyState::retired);
    if (at->second.state == KeyState::destroyed)
        return Error::no("the key '" + label +
                         "' is destroyed; report its compromise all the same, it can't sign any more");
    const bool lived = at->second.state == KeyState::active || at->second.state == KeyState::certified;
    auto event = event_of(KeyState::retired, at->second, step);
    event.kind = compromised_kind;
    if (auto done = record(std::move(event)); !done) return done;
    // For those who look for retirements; what counts is recorded.
    if (lived) (void)retire_locked(label, step);
    return {};
}

Done KeyLife::adopt(const std::string& label, const std::string& tsu, const pki::Certificate& certificate,
                    const std::vector<pki::Certificate>& chain, const std::string& token) {
    const std::lock_guard lock(mutex_);
    const KeyStep step{"named by the configuration", "tsad", "", {}, {}};
    const auto known = entries_.find(label);
    const bool from_records = known != entries_.end() && known->second.state != KeyState::destroyed;
    if (!from_records) {
        KeyEntry entry;
        entry.label = label;
        entry.tsu = tsu;
        entry.token = token;
        entry.spki_sha256 = key_digest(certificate.spki());
        if (auto done = certify_locked(entry, certificate, chain, step); !done) return done;
        // Nobody knows when it was used first; not before its certificate.
        return activate_locked(label, certificate.not_before(), step);
    }
    const auto& entry = known->second;
    const auto refused = [&](const std::string& why) {
        return Error::usage("[tsu." + tsu + "] key: " + why);
    };
    // One that was never used may be given to another TSU.
    if (entry.tsu != tsu && entry.activated)
        return refused("the key '" + label + "' is the one of the TSU '" + entry.tsu + "'");
    if (entry.spki_sha256 != key_digest(certificate.spki()))
        return refused("the certificate is for another key than the records of '" + label + "' speak of");
    if (entry.compromised || entry.state == KeyState::retired)
        return refused("'" + label + "' is " + (entry.compromised ? "compromised" : "retired") +
                       " and never signs again; name its successor");
    auto own = entry;
    own.tsu = tsu;
    if (entry.certificate_sha256 != to_hex(certificate.sha256()) || entry.tsu != tsu)
        if (auto done = certify_locked(own, certificate, chain, step); !done) return done;
    return entry.state == KeyState::active ? Done() : activate_locked(label, journal_.now(), step);
}

}  // namespace kokuin::tsa
