#include "tac/validate.h"

#include <botan/x509cert.h>
#include <algorithm>

#include "pki/path.h"
#include "pki/public_key.h"

namespace kokuin::tac {
namespace {

// Beyond delay/2, what the TAC and our own record may differ by (design section 3).
constexpr nanoseconds record_slack = milliseconds(1);
constexpr nanoseconds leap_doubt = seconds(2);
// The deadline by M must not depend on what is known about M's rate: its worst case is taken.
constexpr std::int64_t worst_rate_divisor = 20'000;  // 50 ppm

std::string us_text(nanoseconds time) {
    return std::to_string(time.count() / 1000) + " us";
}

/// Carries the judgement through its steps; the first refusal ends it.
class Judge {
  public:
    Judge(const Delivered& delivered, const Rules& rules, const Situation& situation)
        : delivered_(delivered), rules_(rules), now_(situation) {}

    Verdict run() {
        auto decoded = decode(delivered_.tac);
        if (!decoded) return Refusal{Reason::malformed, decoded.error().text};
        value_ = std::move(*decoded);
        offset_ = rules_.offset_is_taa_minus_tsu ? -tac().offset : tac().offset;
        if (auto no = algorithms()) return *no;
        if (auto no = authority()) return *no;
        if (auto no = holder()) return *no;
        if (auto no = freshness()) return *no;
        if (auto order = stop()) return *order;
        if (auto no = profile()) return *no;
        if (auto no = policy()) return *no;
        if (auto no = times()) return *no;
        if (auto no = limits()) return *no;
        if (auto no = own_record()) return *no;
        return accepted();
    }

    /// For a TAC found in a token: what the TAC itself says, without our side of the story. `any_policy`: one
    /// whose limits aren't in the rules will do, if the TAC states them.
    std::optional<Refusal> covers(WallTime gen_time, bool any_policy) {
        auto decoded = decode(delivered_.tac);
        if (!decoded) return Refusal{Reason::malformed, decoded.error().text};
        value_ = std::move(*decoded);
        offset_ = rules_.offset_is_taa_minus_tsu ? -tac().offset : tac().offset;
        if (auto no = algorithms()) return no;
        if (auto no = authority()) return no;
        if (auto no = holder()) return no;
        if (auto order = stop())
            return refuse(has_no_life() ? Reason::window : Reason::offset,
                          std::get<StopOrder>(*order).text + ": nothing may be stamped under it");
        if (auto no = profile()) return no;
        if (policy_.empty()) {
            if (!any_policy) return policy();
            if (!tac().max_offset)
                return refuse(Reason::offset, "neither the TAC nor its policy, " + tac().policies.front() +
                                                  ", says how far the clock may be off");
            limits_.max_offset = *tac().max_offset;
        }
        if (auto no = limits()) return no;
        const auto from =
            std::max(tac().not_before, tac().ntp_time) - tac().max_offset.value_or(limits_.max_offset);
        const auto until = std::min(tac().not_after + seconds(1), tac().expiration);
        if (gen_time < from || gen_time > until)
            return refuse(Reason::window, "valid " + to_rfc3339(from) + " to " + to_rfc3339(until) +
                                              ", the token was made at " + to_rfc3339(gen_time));
        return {};
    }

  private:
    using Maybe = std::optional<Refusal>;
    static Maybe refuse(Reason reason, std::string text) { return Refusal{reason, std::move(text)}; }
    [[nodiscard]] const Tac& tac() const { return value_.tac; }
    [[nodiscard]] const Exchange& exchange() const { return *delivered_.exchange; }

    Maybe algorithms() {
        if (!(tac().signature_algorithm == value_.outer_algorithm))
            return refuse(Reason::algorithm, "the signature algorithm inside the TAC isn't the one outside");
        const auto signature = pki::hash_from_rsa_signature_oid(tac().signature_algorithm.oid);
        const auto digest = pki::hash_from_oid(tac().digest_algorithm.oid);
        if (!signature)
            return refuse(Reason::algorithm, tac().signature_algorithm.oid + ": not RSA with a known hash");
        if (!digest) return refuse(Reason::algorithm, tac().digest_algorithm.oid + ": not a known hash");
        if (!rules_.accept_weak && (*signature == pki::Hash::sha1 || *digest == pki::Hash::sha1))
            return refuse(Reason::algorithm, "SHA-1 isn't accepted from this TAA");
        signature_hash_ = *signature;
        digest_hash_ = *digest;
        return {};
    }

    /// May this certificate speak as a TAA, although nobody named it? What is made for something else may
    /// not: otherwise a TSU that shares the anchor could audit itself.
    static bool made_for_something_else(const pki::Certificate& certificate) {
        const auto& botan = certificate.botan();
        if (botan.is_CA_cert()) return true;
        // RFC 5280 4.2.1.12: serverAuth, clientAuth, codeSigning, emailProtection, timeStamping, OCSPSigning.
        for (const char* usage : {"1", "2", "3", "4", "8", "9"})
            if (botan.has_ex_constraint(Botan::OID(std::string("1.3.6.1.5.5.7.3.") + usage))) return true;
        return false;
    }

    Maybe authority() {
        if (!rules_.authorities.empty() &&
            std::none_of(rules_.authorities.begin(), rules_.authorities.end(),
                         [&](const Bytes& name) { return equal(name, tac().issuer_name); }))
            return refuse(Reason::chain,
                          pki::name_text(tac().issuer_name) + " is no TAA named in the configuration");
        std::vector<pki::Certificate> between = rules_.intermediates;
        for (const auto& der : delivered_.chain) {
            auto certificate = pki::Certificate::from_der(der);
            if (!certificate)
                return refuse(Reason::chain,
                              "a certificate delivered with the TAC: " + certificate.error().text);
            between.push_back(std::move(*certificate));
        }

        std::vector<pki::Certificate> signers;
        std::string why = "no certificate of " + pki::name_text(tac().issuer_name) + " is known or delivered";
        Reason reason = Reason::chain;
        const auto consider = [&](const pki::Certificate& certificate) {
            if (!equal(certificate.subject_der(), tac().issuer_name)) return;
            if (certificate == now_.tsu || equal(certificate.spki(), now_.tsu.spki())) {
                why = "it is signed with the TSU's own key";
                return;
            }
            if (rules_.authorities.empty() && made_for_something_else(certificate)) {
                why = "the certificate of " + certificate.subject_text() +
                      " is made for something else than auditing";
                return;
            }
            const auto key = pki::PublicKey::from_certificate(certificate);
            if (!key) {
                why = "the TAA's key: " + key.error().text;
                return;
            }
            if (!key->verify(signature_hash_, value_.info, value_.signature)) {
                if (signers.empty()) {
                    why = "it doesn't verify under the key of " + certificate.subject_text();
                    reason = Reason::signature;
                }
                return;
            }
            if (key->bits() < 2048 && !rules_.accept_weak) {
                why = "the TAA's key has " + std::to_string(key->bits()) + " bits, 2048 are wanted";
                reason = Reason::algorithm;
                return;
            }
            signers.push_back(certificate);
        };
        for (const auto& certificate : between) consider(certificate);
        for (const auto& certificate : rules_.anchors) consider(certificate);
        if (signers.empty()) return refuse(reason, why);

        // At the time of the audit, not by C: an order to stop must get through when C is far off, and a good
        // TAC is tied to C later on (future, window, contradiction).
        pki::PathRules path_rules;
        path_rules.tolerate_weak = rules_.accept_weak;
        for (const auto& signer : signers) {
            auto path = pki::validate_path(signer, between, rules_.anchors, tac().ntp_time, path_rules);
            if (!path) {
                why = path.error().text;
                continue;
            }
            auto revoked = now_.crls ? pki::find_revoked(*path, *now_.crls) : std::nullopt;
            if (!revoked && now_.revoked) revoked = now_.revoked(*path);
            if (revoked) {
                why = std::move(*revoked);
                reason = Reason::revoked;
                continue;
            }
            path_ = std::move(*path);
            return {};
        }
        return refuse(reason == Reason::revoked ? reason : Reason::chain, why);
    }

    Maybe holder() {
        if (!equal(tac().holder_name, now_.tsu.subject_der()))
            return refuse(Reason::holder_name, "it is about " + pki::name_text(tac().holder_name) +
                                                   ", this is " + now_.tsu.subject_text());
        if (!equal(tac().holder_digest, now_.tsu.digest(digest_hash_)))
            return refuse(Reason::holder_digest, "it is about another certificate of " +
                                                     now_.tsu.subject_text() + " (digest " +
                                                     to_hex(tac().holder_digest) + ")");
        return {};
    }

    Maybe freshness() {
        if (!delivered_.exchange)
            return refuse(Reason::unknown_nonce, "there is no record of an exchange under its nonce");
        if (exchange().boot_id != now_.boot_id)
            return refuse(Reason::restarted,
                          "the machine was booted since the exchange; only a new audit helps");
        if (clock::slept_between(exchange().received.asleep, now_.now.asleep))
            return refuse(Reason::restarted,
                          "the machine was suspended since the exchange; only a new audit helps");
        if (now_.last)
            if (auto why = not_newer(*now_.last, tac().ntp_time, serial_hex(tac().serial),
                                     exchange().received, exchange().boot_id);
                !why.empty())
                return refuse(Reason::replay, std::move(why));
        return {};
    }

    [[nodiscard]] bool has_no_life() const {
        return tac().not_before == tac().not_after || tac().expiration == tac().ntp_time;
    }

    std::optional<Verdict> stop() {
        std::string why;
        find_policy();
        std::optional<microseconds> most = tac().max_offset;
        if (!most && !policy_.empty()) most = limits_.max_offset;
        // Either form of zero life is taken for the order: to doubt it means to go on with a clock that is
        // doubted.
        if (has_no_life()) {
            why = "it has no life (offset " + us_text(offset_) + ")";
        } else if (most && std::chrono::abs(offset_) > *most) {
            why = "offset " + us_text(offset_) + ", allowed " + us_text(*most);
        } else {
            return {};
        }
        StopOrder order;
        order.tac = value_.der;
        order.serial = serial_hex(tac().serial);
        order.ntp_time = tac().ntp_time;
        order.offset = offset_;
        order.text = "order to stop from " + pki::name_text(tac().issuer_name) + ": " + why;
        if (delivered_.exchange) {
            order.received = exchange().received;
            order.boot_id = exchange().boot_id;
        }
        return Verdict(std::move(order));
    }

    Maybe profile() {
        if (!tac().unknown_critical.empty())
            return refuse(Reason::profile, "unknown critical extension " + tac().unknown_critical.front());
        if (std::chrono::abs(tac().not_before - tac().ntp_time) >= seconds(1) ||
            std::chrono::abs(tac().not_after - tac().expiration) >= seconds(1))
            return refuse(Reason::profile,
                          "the validity period (" + to_rfc3339(tac().not_before, 0) + " to " +
                              to_rfc3339(tac().not_after, 0) + ") disagrees with ntpTime and expiration (" +
                              to_rfc3339(tac().ntp_time, 6) + " to " + to_rfc3339(tac().expiration, 6) + ")");
        if (tac().expiration < tac().ntp_time)
            return refuse(Reason::profile, "it expires before it was made");
        return {};
    }

    /// Of the accepted policies that the TAC names, the one with the strictest limit.
    void find_policy() {
        for (const auto& oid : tac().policies) {
            const auto found = rules_.policies.find(oid);
            if (found == rules_.policies.end()) continue;
            if (!policy_.empty() && limits_.max_offset <= found->second.max_offset) continue;
            policy_ = oid;
            limits_ = found->second;
        }
    }

    Maybe policy() {
        if (policy_.empty()) return refuse(Reason::policy, tac().policies.front() + " isn't accepted");
        return {};
    }

    Maybe times() {
        const WallTime now = now_.now.wall;
        // C may lawfully be behind the TAA's clock by as much as the policy allows.
        valid_from_ = std::max(tac().not_before, tac().ntp_time) - limits_.max_offset;
        valid_until_ = tac().expiration;  // notAfter is the second it lies in, profile() saw to that
        const nanoseconds life = tac().expiration - tac().ntp_time;
        deadline_ = exchange().received.before + (life - life / worst_rate_divisor);
        if (tac().ntp_time - limits_.max_offset > now)
            return refuse(Reason::future,
                          "audited at " + to_rfc3339(tac().ntp_time, 6) + ", it is " + to_rfc3339(now, 6));
        if (now < valid_from_)
            return refuse(Reason::window,
                          "valid from " + to_rfc3339(tac().not_before, 0) + ", it is " + to_rfc3339(now, 6));
        if (now > valid_until_)
            return refuse(Reason::window,
                          "valid until " + to_rfc3339(valid_until_, 6) + ", it is " + to_rfc3339(now, 6));
        if (now_.now.after > deadline_)
            return refuse(Reason::window, "its life is over by the monotonic clock");
        // One clock may have passed it and the other not: what was measured then says nothing.
        for (const auto& leap : tac().leap_events)
            if (std::chrono::abs(tac().ntp_time - leap.midnight) <= leap_doubt)
                return refuse(Reason::window, "audited within two seconds of the leap second before " +
                                                  to_rfc3339(leap.midnight, 0));
        return {};
    }

    Maybe limits() {
        if (std::chrono::abs(offset_) > limits_.max_offset)
            return refuse(Reason::offset,
                          "offset " + us_text(offset_) + ", accepted " + us_text(limits_.max_offset));
        microseconds most = limits_.max_delay;
        if (tac().max_delay) most = std::min(most, *tac().max_delay);
        if (tac().delay.count() < 0 || tac().delay > most)
            return refuse(Reason::delay,
                          "delay " + us_text(tac().delay) + ", accepted 0 to " + us_text(most));
        return {};
    }

    Maybe own_record() {
        const clock::Reading& t2 = exchange().received;
        const clock::Reading& t3 = exchange().sent;
        const nanoseconds by_c = t3.wall - t2.wall;
        const nanoseconds by_m = (t3.before + t3.gap() / 2) - (t2.before + t2.gap() / 2);
        moved_ = std::chrono::abs(by_c - by_m);
        if (moved_ > record_slack + t2.gap() + t3.gap())
            return refuse(Reason::contradiction,
                          "our clock was stepped by " + us_text(by_c - by_m) + " during the exchange");
        const nanoseconds half_delay = nanoseconds(tac().delay) / 2;
        const nanoseconds differs = (t2.wall + by_c / 2) - (tac().ntp_time + offset_);
        if (std::chrono::abs(differs) > half_delay + record_slack)
            return refuse(Reason::contradiction,
                          "by our record of the exchange, ntpTime + offset is wrong by " + us_text(differs) +
                              "; allowed " + us_text(half_delay + record_slack));
        // Whoever changed T2 and T3 on their way to the TAA moved the offset by just this, on top of what the
        // path's two directions differ in.
        differs_ = std::chrono::abs(differs);
        return {};
    }

    /// A leap second comes before a UTC midnight. Some may write its own moment, a second before; anything
    /// else is none, and two at one midnight are one: what is counted twice would be a second too much.
    void normalise_leaps() {
        std::vector<clock::LeapSecond> kept;
        for (const auto& leap : value_.tac.leap_events) {
            const WallTime midnight(std::chrono::round<std::chrono::days>(leap.midnight.time_since_epoch()));
            const bool near = std::chrono::abs(leap.midnight - midnight) <= seconds(1);
            const bool soon = std::chrono::abs(midnight - tac().ntp_time) < std::chrono::hours(24 * 366);
            const bool known = std::any_of(kept.begin(), kept.end(), [&](const clock::LeapSecond& one) {
                return one.midnight == midnight;
            });
            if (near && soon && !known) kept.push_back({midnight, leap.direction});
        }
        value_.tac.leap_events = std::move(kept);
    }

    Verdict accepted() {
        normalise_leaps();
        clock::Evidence evidence;
        evidence.source = clock::Source::tac;
        evidence.error = offset_;
        // The TAA writes whole µs, so half of the last digit of the offset and of the delay may be lost.
        evidence.uncertainty = (nanoseconds(tac().delay) + nanoseconds(1)) / 2 + rules_.taa_bound + moved_ +
                               differs_ + microseconds(1);
        evidence.at = exchange().received;
        evidence.good_until = deadline_;
        evidence.note = "TAC " + serial_hex(tac().serial);
        AcceptedTac tac_taken{delivered_,  value_,       serial_hex(tac().serial),
                              policy_,     offset_,      evidence,
                              valid_from_, valid_until_, deadline_,
                              path_};
        return std::make_shared<const AcceptedTac>(std::move(tac_taken));
    }

    const Delivered& delivered_;
    const Rules& rules_;
    const Situation& now_;
    SignedTac value_;
    nanoseconds offset_{0};
    pki::Hash signature_hash_ = pki::Hash::sha256;
    pki::Hash digest_hash_ = pki::Hash::sha256;
    std::vector<pki::Certificate> path_;
    std::string policy_;
    Limits limits_{};
    WallTime valid_from_{};
    WallTime valid_until_{};
    MonoTime deadline_{};
    nanoseconds moved_{0};    // C against M, between T2 and T3
    nanoseconds differs_{0};  // the TAC from our record
};

void put(Fields& fields, const std::string& prefix, const clock::Reading& reading) {
    fields[prefix + "_before_ns"] = std::int64_t{reading.before.time_since_epoch().count()};
    fields[prefix + "_wall_ns"] = std::int64_t{reading.wall.time_since_epoch().count()};
    fields[prefix + "_after_ns"] = std::int64_t{reading.after.time_since_epoch().count()};
    fields[prefix + "_asleep_low_ns"] = std::int64_t{reading.asleep.low.count()};
    fields[prefix + "_asleep_high_ns"] = std::int64_t{reading.asleep.high.count()};
}

/// Reads fields by type; remembers the first that isn't there.
class FieldReader {
  public:
    explicit FieldReader(const Fields& fields) : fields_(fields) {}
    template <typename T>
    T get(const std::string& key) {
        const auto found = fields_.find(key);
        const T* value = found == fields_.end() ? nullptr : std::get_if<T>(&found->second);
        if (value) return *value;
        if (missing_.empty()) missing_ = key;
        return {};
    }
    nanoseconds ns(const std::string& key) { return nanoseconds(get<std::int64_t>(key)); }
    clock::Reading reading(const std::string& prefix) {
        clock::Reading reading;
        reading.before = MonoTime(ns(prefix + "_before_ns"));
        reading.wall = WallTime(ns(prefix + "_wall_ns"));
        reading.after = MonoTime(ns(prefix + "_after_ns"));
        reading.asleep = {ns(prefix + "_asleep_low_ns"), ns(prefix + "_asleep_high_ns")};
        return reading;
    }
    [[nodiscard]] bool has(const std::string& key) const { return fields_.count(key) != 0; }
    [[nodiscard]] const std::string& missing() const { return missing_; }

  private:
    const Fields& fields_;
    std::string missing_;
};

}  // namespace

std::string_view name(Reason reason) {
    switch (reason) {
        case Reason::malformed:
            return "malformed";
        case Reason::algorithm:
            return "algorithm";
        case Reason::signature:
            return "signature";
        case Reason::chain:
            return "chain";
        case Reason::revoked:
            return "revoked";
        case Reason::holder_name:
            return "holder-name";
        case Reason::holder_digest:
            return "holder-digest";
        case Reason::unknown_nonce:
            return "unknown-nonce";
        case Reason::restarted:
            return "restarted";
        case Reason::replay:
            return "replay";
        case Reason::profile:
            return "profile";
        case Reason::policy:
            return "policy";
        case Reason::future:
            return "future";
        case Reason::window:
            return "window";
        case Reason::offset:
            return "offset";
        case Reason::delay:
            return "delay";
        case Reason::contradiction:
            return "contradiction";
    }
    return "malformed";
}

std::string not_newer(const LastTac& last, WallTime ntp_time, const std::string& serial,
                      const clock::Reading& received, const std::string& boot_id) {
    if (serial == last.serial) return "its serial " + serial + " was taken before";
    if (ntp_time <= last.ntp_time)
        return "audited at " + to_rfc3339(ntp_time, 6) + ", the last one taken at " +
               to_rfc3339(last.ntp_time, 6);
    if (last.exchanged && last.boot_id == boot_id && received.before <= *last.exchanged)
        return "its exchange took place before the one of the last TAC taken";
    return "";
}

std::map<std::string, Limits> builtin_policies() {
    Limits half_second;
    half_second.max_offset = milliseconds(500);
    Limits one_second;
    one_second.max_offset = seconds(1);
    return {{std::string(half_second_policy), half_second}, {std::string(one_second_policy), one_second}};
}

Fields Delivered::to_fields() const {
    Fields fields;
    fields["tac"] = tac;
    for (std::size_t i = 0; i < chain.size(); ++i) fields["chain_" + std::to_string(i)] = chain[i];
    if (!exchange) return fields;
    fields["nonce"] = exchange->nonce;
    fields["tsu"] = exchange->tsu;
    fields["boot_id"] = exchange->boot_id;
    put(fields, "t2", exchange->received);
    put(fields, "t3", exchange->sent);
    return fields;
}

Result<Delivered> Delivered::from_fields(const Fields& fields) {
    FieldReader reader(fields);
    Delivered delivered;
    delivered.tac = reader.get<Bytes>("tac");
    for (std::size_t i = 0; i < max_chain && reader.has("chain_" + std::to_string(i)); ++i)
        delivered.chain.push_back(reader.get<Bytes>("chain_" + std::to_string(i)));
    Exchange exchange;
    exchange.nonce = reader.get<Bytes>("nonce");
    exchange.tsu = reader.get<std::string>("tsu");
    exchange.boot_id = reader.get<std::string>("boot_id");
    exchange.received = reader.reading("t2");
    exchange.sent = reader.reading("t3");
    delivered.exchange = std::move(exchange);
    if (!reader.missing().empty())
        return Error::no("kept TAC: the field " + reader.missing() + " is missing or of another type");
    return delivered;
}

Fields StopOrder::to_fields() const {
    Fields fields;
    fields["tac"] = tac;
    fields["offset_ns"] = std::int64_t{offset.count()};
    fields["text"] = text;
    fields["boot_id"] = boot_id;
    put(fields, "t2", received);
    return fields;
}

Result<StopOrder> StopOrder::from_fields(const Fields& fields) {
    FieldReader reader(fields);
    StopOrder order;
    order.tac = reader.get<Bytes>("tac");
    order.offset = reader.ns("offset_ns");
    order.text = reader.get<std::string>("text");
    if (!reader.missing().empty())
        return Error::no("kept order to stop: the field " + reader.missing() +
                         " is missing or of another type");
    auto value = decode(order.tac);
    if (!value) return std::move(value).error().in("kept order to stop");
    order.serial = serial_hex(value->tac.serial);
    order.ntp_time = value->tac.ntp_time;
    // Orders kept by the first versions lack it.
    order.received.wall = order.ntp_time;
    if (reader.has("t2_wall_ns")) {
        order.received = reader.reading("t2");
        order.boot_id = reader.get<std::string>("boot_id");
    }
    return order;
}

Verdict validate(const Delivered& delivered, const Rules& rules, const Situation& situation) {
    return Judge(delivered, rules, situation).run();
}

std::optional<Refusal> judge_embedded(View tac, const Rules& rules, const pki::Certificate& signer,
                                      WallTime gen_time) {
    const Delivered delivered{Bytes(tac.begin(), tac.end()), {}, std::nullopt};
    const Situation situation{signer, std::nullopt, {}, {}};
    if (!rules.policies.empty()) return Judge(delivered, rules, situation).covers(gen_time, false);
    Rules known = rules;
    known.policies = builtin_policies();
    return Judge(delivered, known, situation).covers(gen_time, true);
}

}  // namespace kokuin::tac
