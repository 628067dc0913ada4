#include "ca/register.h"

#include <algorithm>
#include <variant>

#include "pki/hash.h"
#include "pki/path.h"
#include "pki/public_key.h"
#include "pki/revocation.h"

namespace kokuin::ca {
namespace {

constexpr std::string_view issued_kind = "ca.issued";
constexpr std::string_view revoked_kind = "ca.revoked";
constexpr std::string_view crl_kind = "ca.crl";
constexpr std::string_view published_kind = "ca.published";

std::int64_t number(const store::Event& event, const std::string& key) {
    const auto* value = event.find<std::int64_t>(key);
    return value ? *value : -1;
}

/// Builds the register record by record; the first that doesn't fit ends it.
class Reading {
  public:
    explicit Reading(const Source& source) : source_(source) {}

    Done take(const store::Found& found) {
        const auto& event = found.event();
        auto done = found.record.number == register_.records
                        ? apply(event, found)
                        : Error::environment("the record before it is missing");
        if (!done)
            return Error::environment(
                "record " + std::to_string(found.record.number) + " (" + event.kind +
                (event.subject.empty() ? "" : " of " + event.subject) + "): " + done.error().text +
                "; the archive was changed: restore it from its copy, and find out who did");
        const auto record = store::encode(found.record);
        if (!record) return record.error();
        register_.digest = next_digest(register_.digest, *record);
        ++register_.records;
        const auto at = WallTime(microseconds(found.record.at_us));
        register_.last = std::max(register_.last.value_or(at), at);
        return {};
    }
    Register result() { return std::move(register_); }

  private:
    Done apply(const store::Event& event, const store::Found& found) {
        if (event.kind == issued_kind) return issued(event, found);
        if (event.kind == revoked_kind) return revoked(event);
        if (event.kind == crl_kind) return crl(event, found);
        if (event.kind == published_kind) return published(event, found);
        return {};
    }

    Done issued(const store::Event& event, const store::Found& found) {
        const auto profile = profile_from_name(event.value<std::string>("profile"));
        if (!profile)
            return Error::environment("an unknown profile '" + event.value<std::string>("profile") + "'");
        if (event.blobs.empty()) return Error::environment("no certificate");
        const auto der = source_.blob(event.blobs.front(), found.segment);
        if (!der) return der.error();
        auto certificate = pki::Certificate::from_der(*der);
        if (!certificate) return std::move(certificate).error();
        Issued one{*certificate,
                   *profile,
                   serial_text(certificate->serial()),
                   WallTime(microseconds(found.record.at_us)),
                   event.text,
                   event.value<std::string>("by"),
                   event.value<std::string>("successor_of"),
                   std::nullopt};
        if (one.serial != event.subject) return Error::environment("another certificate than it says");
        if (register_.find(one.serial)) return Error::environment("a serial number that was used before");
        const bool first = *profile == Profile::root;
        if (first == (register_.root() != nullptr) || (!first && !one.is_ca() && !register_.issuing()))
            return Error::environment("a certificate where none can be");
        const auto& issuer = first ? one : one.is_ca() ? *register_.root() : *register_.issuing();
        if (!pki::is_signed_by(*certificate, issuer.certificate))
            return Error::environment("a certificate that this CA hasn't signed");
        register_.issued.push_back(std::move(one));
        return {};
    }

    Done revoked(const store::Event& event) {
        const auto one = std::find_if(register_.issued.begin(), register_.issued.end(),
                                      [&](const Issued& issued) { return issued.serial == event.subject; });
        const auto reason = pki::reason_from_name(event.value<std::string>("reason"));
        const auto at = number(event, "revoked_at");
        if (one == register_.issued.end()) return Error::environment("nothing of this serial was issued");
        if (one->revoked) return Error::environment("it was revoked before");
        if (!reason || at < 0) return Error::environment("no reason or no time");
        one->revoked = Revocation{WallTime(seconds(at)), *reason, event.text, event.value<std::string>("by")};
        return {};
    }

    Done crl(const store::Event& event, const store::Found& found) {
        const auto profile = profile_from_name(event.subject);
        const auto* ca = profile == Profile::root      ? register_.root()
                         : profile == Profile::issuing ? register_.issuing()
                                                       : nullptr;
        if (!ca || event.blobs.empty()) return Error::environment("the CRL of no CA");
        if (number(event, "number") != register_.crl_numbers[*profile] + 1)
            return Error::environment("CRL number " + std::to_string(number(event, "number")) + " after " +
                                      std::to_string(register_.crl_numbers[*profile]));
        const auto der = source_.blob(event.blobs.front(), found.segment);
        if (!der) return der.error();
        const auto list = pki::Crl::from_der(*der);
        if (!list) return list.error();
        if (!list->is_of(ca->certificate)) return Error::environment("a CRL that this CA hasn't signed");
        for (const auto& serial : list->serials()) {
            const auto* one = register_.find(serial_text(serial));
            if (!one || !one->revoked)
                return Error::environment("its CRL revokes " + serial_text(serial) +
                                          ", but no record before it does");
        }
        register_.crl_numbers[*profile] = number(event, "number");
        return {};
    }

    Done published(const store::Event& event, const store::Found& found) {
        const auto* issuing = register_.issuing();
        if (!issuing) return Error::environment("published before there was a CA");
        const auto key = pki::PublicKey::from_certificate(issuing->certificate);
        if (!key) return key.error();
        const auto to_sign = sealed_text(source_.archive_id, register_.records, register_.digest);
        if (!key->verify(pki::Hash::sha256, to_sign, event.value<Bytes>("signature")))
            return Error::environment("the CA's signature isn't over the records before it");
        register_.published = WallTime(microseconds(found.record.at_us));
        return {};
    }

    const Source& source_;
    Register register_;
};

}  // namespace

const Issued* Register::find(const std::string& serial) const {
    for (const auto& one : issued)
        if (one.serial == serial) return &one;
    return nullptr;
}

const Issued* Register::of(Profile profile) const {
    for (const auto& one : issued)
        if (one.profile == profile) return &one;
    return nullptr;
}

Result<Register> read_register(const Source& source) {
    Reading reading(source);
    Done outcome;
    auto done = source.events({}, [&](const store::Found& found) {
        outcome = reading.take(found);
        return outcome.ok();
    });
    if (!done) return std::move(done).error();
    if (!outcome) return std::move(outcome).error();
    return reading.result();
}

Bytes next_digest(View digest, View record) {
    Bytes both(digest.begin(), digest.end());
    append(both, record);
    return pki::digest(pki::Hash::sha256, both);
}

Bytes sealed_text(const std::string& archive_id, store::RecordNumber records, View digest) {
    const auto line = "kokuin ca archive 1\narchive: " + archive_id +
                      "\nrecords: " + std::to_string(records) + "\nsha256: " + to_hex(digest) + "\n";
    return {line.begin(), line.end()};
}

store::Event issued_event(const Issued& issued, const std::string& account) {
    store::Event event;
    event.kind = std::string(issued_kind);
    event.subject = issued.serial;
    event.text = issued.why;
    event.fields["profile"] = std::string(name(issued.profile));
    event.fields["certificate"] = to_hex(issued.certificate.sha256());
    event.fields["not_after"] = to_rfc3339(issued.certificate.not_after(), 0);
    event.fields["spki_sha256"] = to_hex(pki::digest(pki::Hash::sha256, issued.certificate.spki()));
    event.fields["by"] = issued.by;
    event.fields["account"] = account;
    if (!issued.successor_of.empty()) event.fields["successor_of"] = issued.successor_of;
    return event;
}

store::Event revoked_event(const Issued& issued, const Revocation& revocation, const std::string& account) {
    store::Event event;
    event.kind = std::string(revoked_kind);
    event.subject = issued.serial;
    event.text = revocation.why;
    event.fields["reason"] = std::string(pki::name(revocation.reason));
    event.fields["revoked_at"] =
        static_cast<std::int64_t>(std::chrono::floor<seconds>(revocation.at.time_since_epoch()).count());
    event.fields["by"] = revocation.by;
    event.fields["account"] = account;
    return event;
}

std::string serial_text(View content) {
    while (content.size() > 1 && content[0] == 0) content = content.subspan(1);
    return to_hex(content);
}

std::string serial_text_of(const std::string& typed) {
    std::string digits;
    for (const char c : typed)
        if (c != ':' && c != ' ') digits += c;
    if (digits.rfind("0x", 0) == 0) digits.erase(0, 2);
    if (digits.size() % 2 != 0) digits.insert(0, "0");
    const auto octets = from_hex(digits);
    return octets && !octets->empty() ? serial_text(*octets) : std::string();
}

}  // namespace kokuin::ca
