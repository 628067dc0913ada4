#include "tac/tac.h"

#include <algorithm>
#include <array>

#include "base/der.h"

namespace kokuin::tac {
namespace {

// Seconds from 1900-01-01 to 1970-01-01 (RFC 868).
constexpr std::int64_t epoch_1900 = 2'208'988'800;
// WallTime holds 1678 to 2262; a TAC of our life is inside 1970 to 2262.
constexpr std::int64_t last_second = 9'223'372'036;
// Clocks are wrong by 56 years when their battery is empty; what is longer than two centuries doesn't fit
// into ns.
constexpr std::int64_t longest_duration = 8'000'000'000;
constexpr std::int64_t micros_in_second = 1'000'000;
constexpr std::size_t largest_tac = 16U << 10U;

constexpr std::string_view oid_authority_key = "2.5.29.35";
constexpr std::string_view oid_no_rev_avail = "2.5.29.56";

// ---------------------------------------------------------------- writing

Bytes big_time(std::int64_t whole, std::int64_t micros, bool negative) {
    if (negative) return der::sequence({der::integer(whole), der::integer(micros), der::integer(-1)});
    return der::sequence({der::integer(whole), der::integer(micros)});
}
Bytes big_time(WallTime time) {
    const std::int64_t us = to_unix_us(time) + epoch_1900 * micros_in_second;
    return big_time(us / micros_in_second, us % micros_in_second, false);
}
Bytes big_time(microseconds duration) {
    const std::int64_t us = std::chrono::abs(duration).count();
    return big_time(us / micros_in_second, us % micros_in_second, duration.count() < 0);
}
Bytes write(const Algorithm& algorithm) {
    return der::algorithm(algorithm.oid, algorithm.null_parameters);
}
/// GeneralName directoryName: [4] EXPLICIT, because Name is a CHOICE.
Bytes directory_name(View name) {
    return der::tlv(der::context(4, true), name);
}

Bytes attribute(std::string_view type, Bytes value) {
    return der::sequence({der::oid(type), der::set_of({std::move(value)})});
}

Bytes timing_metrics(const Tac& tac) {
    const Bytes ntp_time = big_time(tac.ntp_time);
    const Bytes offset = big_time(tac.offset);
    const Bytes delay = big_time(tac.delay);
    const Bytes expiration = big_time(tac.expiration);
    if (tac.leap_events.empty()) return der::sequence({ntp_time, offset, delay, expiration});
    std::vector<Bytes> leaps;
    for (const auto& leap : tac.leap_events)
        leaps.push_back(der::sequence({big_time(leap.midnight), der::integer(leap.direction)}));
    return der::sequence({ntp_time, offset, delay, expiration, der::set_of(std::move(leaps))});
}

Bytes timing_policy(const Tac& tac) {
    Bytes ids;
    for (const auto& policy : tac.policies) append(ids, der::oid(policy));
    Bytes content = der::tlv(der::sequence_tag, ids);
    if (tac.max_offset) append(content, der::tlv(der::context(0, true), big_time(*tac.max_offset)));
    if (tac.max_delay) append(content, der::tlv(der::context(1, true), big_time(*tac.max_delay)));
    return der::tlv(der::sequence_tag, content);
}

Bytes extensions(const AuthorityKey& key) {
    const Bytes aki = der::sequence({der::tlv(der::context(0, false), key.key_identifier),
                                     der::tlv(der::context(1, true), directory_name(key.issuer)),
                                     der::tlv(der::context(2, false), key.serial)});
    return der::sequence({der::sequence({der::oid(oid_authority_key), der::octets(aki)}),
                          der::sequence({der::oid(oid_no_rev_avail), der::octets(der::null())})});
}

bool is_name(View name) {
    der::Reader reader(name);
    reader.expect(der::sequence_tag, "Name");
    reader.finish("Name");
    return !reader.failed();
}
/// Minimal two's complement, positive, at most 20 octets (RFC 5280 4.1.2.2).
bool is_positive_serial(const Bytes& serial) {
    if (serial.empty() || serial.size() > 20 || serial[0] >= 0x80) return false;
    if (serial.size() == 1) return serial[0] != 0;
    return serial[0] != 0 || serial[1] >= 0x80;
}
bool whole_micros(WallTime time) {
    return time == from_unix_us(to_unix_us(time));
}
WallTime whole_second(WallTime time) {
    return std::chrono::floor<seconds>(time);
}

/// What our profile doesn't have; empty if all is well.
std::string departure(const Tac& tac) {
    if (!is_name(tac.holder_name)) return "the holder's name is no DER Name";
    if (!is_name(tac.issuer_name)) return "the issuer's name is no DER Name";
    const auto digest = pki::hash_from_oid(tac.digest_algorithm.oid);
    if (!digest || *digest == pki::Hash::sha1) return "objectDigestInfo needs SHA-256, SHA-384 or SHA-512";
    if (tac.holder_digest.size() != pki::length(*digest)) return "objectDigest has the wrong length";
    const auto signature = pki::hash_from_rsa_signature_oid(tac.signature_algorithm.oid);
    if (!signature || *signature == pki::Hash::sha1 || !tac.signature_algorithm.null_parameters)
        return "the signature needs RSA with SHA-256, SHA-384 or SHA-512 and NULL parameters";
    if (!is_positive_serial(tac.serial)) return "the serial isn't a positive INTEGER of 1 to 20 octets";
    if (!whole_micros(tac.ntp_time) || !whole_micros(tac.expiration))
        return "ntpTime and expiration aren't whole microseconds";
    if (tac.not_before != whole_second(tac.ntp_time) || tac.not_after != whole_second(tac.expiration))
        return "the validity period disagrees with ntpTime and expiration";
    if (tac.ntp_time.time_since_epoch().count() < 0 || tac.expiration < tac.ntp_time)
        return "ntpTime and expiration aren't in order";
    if (std::chrono::abs(tac.offset) > seconds(longest_duration)) return "the offset is too large";
    if (tac.delay.count() < 0 || tac.delay > seconds(longest_duration))
        return "the delay is negative or too large";
    if (tac.policies.empty()) return "there is no policy";
    if (!std::all_of(tac.policies.begin(), tac.policies.end(),
                     [](const std::string& policy) { return der::is_oid(policy); }))
        return "a policy is no OID";
    for (const auto& limit : {tac.max_offset, tac.max_delay})
        if (limit && (limit->count() < 0 || *limit > seconds(longest_duration)))
            return "maxOffset or maxDelay is negative or too large";
    for (const auto& leap : tac.leap_events)
        if ((leap.direction != 1 && leap.direction != -1) || leap.midnight.time_since_epoch().count() < 0)
            return "a leap second is neither inserted nor deleted, or before 1970";
    if (!tac.authority_key || tac.authority_key->key_identifier.empty() ||
        !is_name(tac.authority_key->issuer) || !is_positive_serial(tac.authority_key->serial))
        return "authorityKeyIdentifier needs key identifier, issuer and serial";
    if (!tac.no_rev_avail) return "noRevAvail is missing";
    if (!tac.unknown_critical.empty()) return "there are critical extensions";
    return {};
}

// ---------------------------------------------------------------- reading

struct BigTime {
    std::int64_t whole = 0;
    std::int64_t micros = 0;
    bool negative = false;
};

/// Two's complement of at most eight octets; old TACs pad to four, and write seconds ≥ 2³¹ as if they were
/// negative.
std::int64_t value_of(der::Reader& reader, const Bytes& content, bool unsigned_four) {
    if (reader.failed()) return 0;
    if (content.empty() || content.size() > 8) {
        reader.fail("a number of more than 64 bits");
        return 0;
    }
    std::uint64_t value =
        content[0] >= 0x80 && !(unsigned_four && content.size() == 4) ? ~std::uint64_t{0} : 0;
    for (const auto octet : content) value = value << 8U | octet;
    return static_cast<std::int64_t>(value);
}

BigTime read_big_time(der::Reader& parent, std::string_view what) {
    BigTime time;
    der::Reader reader = parent.enter(der::sequence_tag, what);
    time.whole = value_of(reader, reader.read_integer(what), true);
    time.micros = reader.read_int64(what);
    if (!reader.at_end()) {
        if (reader.read_int64(what) != -1) reader.fail(std::string(what) + ": a sign that isn't -1");
        time.negative = true;
    }
    reader.finish(what);
    if (time.whole < 0) reader.fail(std::string(what) + ": negative seconds");
    if (time.micros < 0 || time.micros >= micros_in_second)
        reader.fail(std::string(what) + ": fractionalSeconds outside 0 to 999999");
    return time;
}

WallTime read_instant(der::Reader& parent, std::string_view what) {
    const BigTime time = read_big_time(parent, what);
    if (parent.failed()) return {};
    if (time.negative || time.whole < epoch_1900 || time.whole - epoch_1900 >= last_second) {
        parent.fail(std::string(what) + ": not a time between 1970 and 2262");
        return {};
    }
    return WallTime(seconds(time.whole - epoch_1900) + microseconds(time.micros));
}

microseconds read_duration(der::Reader& parent, std::string_view what) {
    const BigTime time = read_big_time(parent, what);
    if (parent.failed()) return {};
    if (time.whole > longest_duration) {
        parent.fail(std::string(what) + ": longer than two centuries");
        return {};
    }
    const microseconds duration = seconds(time.whole) + microseconds(time.micros);
    return time.negative ? -duration : duration;
}

Algorithm read_algorithm(der::Reader& parent, std::string_view what) {
    Algorithm algorithm;
    der::Reader reader = parent.enter(der::sequence_tag, what);
    algorithm.oid = reader.read_oid(what);
    algorithm.null_parameters = !reader.at_end();
    if (algorithm.null_parameters) reader.read_null(what);
    reader.finish(what);
    return algorithm;
}

/// GeneralNames with one directoryName; `parent` stands before its content.
Bytes read_directory_name(der::Reader& names, std::string_view what) {
    der::Reader choice = names.enter(der::context(4, true), what);
    const View name = choice.expect(der::sequence_tag, what).whole;
    choice.finish(what);
    names.finish(what);
    return {name.begin(), name.end()};
}

void read_holder(der::Reader& info, Tac& tac) {
    der::Reader holder = info.enter(der::sequence_tag, "holder");
    {
        der::Reader names = holder.enter(der::context(1, true), "holder: entityName");
        tac.holder_name = read_directory_name(names, "holder: entityName");
    }
    der::Reader digest = holder.enter(der::context(2, true), "holder: objectDigestInfo");
    const View type = digest.expect(der::enumerated, "digestedObjectType").content;
    if (!digest.failed() && (type.size() != 1 || type[0] != 1))
        digest.fail("digestedObjectType isn't publicKeyCert");
    tac.digest_algorithm = read_algorithm(digest, "objectDigestInfo: digestAlgorithm");
    tac.holder_digest = digest.read_bit_string("objectDigest");
    digest.finish("objectDigestInfo");
    holder.finish("holder");
}

void read_metrics(der::Reader& values, Tac& tac) {
    der::Reader metrics = values.enter(der::sequence_tag, "TimingMetrics");
    tac.ntp_time = read_instant(metrics, "ntpTime");
    tac.offset = read_duration(metrics, "offset");
    tac.delay = read_duration(metrics, "delay");
    tac.expiration = read_instant(metrics, "expiration");
    if (metrics.next_is(der::set_tag)) {
        der::Reader events = metrics.enter(der::set_tag, "leapEvent");
        while (!events.at_end()) {
            der::Reader event = events.enter(der::sequence_tag, "LeapData");
            clock::LeapSecond leap;
            leap.midnight = read_instant(event, "leapTime");
            const std::int64_t action = event.read_int64("action");
            if (!event.failed() && action != 1 && action != -1) event.fail("action is neither 1 nor -1");
            leap.direction = static_cast<int>(action);
            event.finish("LeapData");
            if (!event.failed()) tac.leap_events.push_back(leap);
        }
    }
    metrics.finish("TimingMetrics");
}

void read_policy(der::Reader& values, Tac& tac) {
    der::Reader policy = values.enter(der::sequence_tag, "TimingPolicy");
    {
        der::Reader ids = policy.enter(der::sequence_tag, "policyID");
        if (ids.at_end()) ids.fail("policyID is empty");
        while (!ids.at_end()) tac.policies.push_back(ids.read_oid("policyID"));
    }
    if (policy.next_is(der::context(0, true))) {
        der::Reader limit = policy.enter(der::context(0, true), "maxOffset");
        tac.max_offset = read_duration(limit, "maxOffset");
        limit.finish("maxOffset");
    }
    if (policy.next_is(der::context(1, true))) {
        der::Reader limit = policy.enter(der::context(1, true), "maxDelay");
        tac.max_delay = read_duration(limit, "maxDelay");
        limit.finish("maxDelay");
    }
    policy.finish("TimingPolicy");
    for (const auto& limit : {tac.max_offset, tac.max_delay})
        if (!policy.failed() && limit && limit->count() < 0) policy.fail("maxOffset or maxDelay is negative");
}

void read_attributes(der::Reader& info, Tac& tac) {
    der::Reader attributes = info.enter(der::sequence_tag, "attributes");
    bool metrics = false;
    bool policy = false;
    while (!attributes.at_end()) {
        der::Reader attribute = attributes.enter(der::sequence_tag, "attribute");
        const std::string type = attribute.read_oid("attribute type");
        der::Reader values = attribute.enter(der::set_tag, "attribute values");
        if (type == oid_timing_metrics || type == oid_timing_policy) {
            bool& seen = type == oid_timing_metrics ? metrics : policy;
            if (seen) values.fail("the attribute " + type + " stands here twice");
            seen = true;
            type == oid_timing_metrics ? read_metrics(values, tac) : read_policy(values, tac);
            values.finish("attribute values (exactly one is wanted)");
        }
        attribute.finish("attribute");
    }
    if (!attributes.failed() && !metrics) attributes.fail("TimingMetrics is missing");
    if (!attributes.failed() && !policy) attributes.fail("TimingPolicy is missing");
}

AuthorityKey read_authority_key(der::Reader& value) {
    AuthorityKey key;
    der::Reader aki = value.enter(der::sequence_tag, "authorityKeyIdentifier");
    const auto copy = [](View view) { return Bytes(view.begin(), view.end()); };
    if (aki.next_is(der::context(0, false))) key.key_identifier = copy(aki.any().content);
    if (aki.next_is(der::context(1, true))) {
        der::Reader names = aki.enter(der::context(1, true), "authorityCertIssuer");
        key.issuer = read_directory_name(names, "authorityCertIssuer");
    }
    if (aki.next_is(der::context(2, false))) key.serial = copy(aki.any().content);
    aki.finish("authorityKeyIdentifier");
    return key;
}

/// Reads the inside of an extension's OCTET STRING with a Reader of its own; its fault becomes one of the
/// outer reader.
template <typename Read>
void read_inside(der::Reader& outer, View octets, std::string_view what, Read read) {
    der::Reader inside(octets);
    read(inside);
    inside.finish(what);
    if (inside.failed()) outer.fail(std::string(what) + ": " + inside.fault().text());
}

void read_extensions(der::Reader& info, Tac& tac) {
    der::Reader list = info.enter(der::sequence_tag, "extensions");
    if (list.at_end()) list.fail("extensions is empty");
    std::vector<std::string> seen;
    while (!list.at_end()) {
        der::Reader extension = list.enter(der::sequence_tag, "extension");
        const std::string id = extension.read_oid("extnID");
        const bool critical = extension.next_is(der::boolean) && extension.read_boolean("critical");
        const Bytes value = extension.read_octets("extnValue");
        extension.finish("extension");
        if (extension.failed()) return;
        if (std::find(seen.begin(), seen.end(), id) != seen.end())
            extension.fail("the extension " + id + " stands here twice");
        seen.push_back(id);
        if (id == oid_authority_key) {
            read_inside(extension, value, "authorityKeyIdentifier",
                        [&](der::Reader& inside) { tac.authority_key = read_authority_key(inside); });
        } else if (id == oid_no_rev_avail) {
            read_inside(extension, value, "noRevAvail",
                        [&](der::Reader& inside) { inside.read_null("noRevAvail"); });
            tac.no_rev_avail = true;
        } else if (critical) {
            tac.unknown_critical.push_back(id);
        }
    }
}

void read_info(der::Reader& certificate, Tac& tac) {
    der::Reader info = certificate.enter(der::sequence_tag, "AttributeCertificateInfo");
    if (info.read_int64("version") != 1) info.fail("version isn't 1 (v2)");
    read_holder(info, tac);
    {
        // AttCertIssuer: v2Form [0] IMPLICIT V2Form { issuerName GeneralNames }
        der::Reader form = info.enter(der::context(0, true), "issuer: v2Form");
        {
            der::Reader names = form.enter(der::sequence_tag, "issuer: issuerName");
            tac.issuer_name = read_directory_name(names, "issuer: issuerName");
        }
        form.finish("issuer: v2Form");
    }
    tac.signature_algorithm = read_algorithm(info, "signature");
    tac.serial = info.read_integer("serialNumber");
    {
        der::Reader validity = info.enter(der::sequence_tag, "attrCertValidityPeriod");
        tac.not_before = validity.read_generalized_time("notBeforeTime");
        tac.not_after = validity.read_generalized_time("notAfterTime");
        validity.finish("attrCertValidityPeriod");
        if (tac.not_before < WallTime{} || tac.not_after < WallTime{})
            validity.fail("a validity before 1970");
    }
    read_attributes(info, tac);
    if (info.next_is(der::bit_string)) info.any();  // issuerUniqueID: says nothing to us
    if (!info.at_end()) read_extensions(info, tac);
    info.finish("AttributeCertificateInfo");
}

}  // namespace

Algorithm rsa_with(pki::Hash hash) {
    return {std::string(pki::rsa_signature_oid(hash)), true};
}
Algorithm plain(pki::Hash hash) {
    return {std::string(pki::oid(hash)), false};
}

void set_validity(Tac& tac, WallTime audited, nanoseconds life) {
    tac.ntp_time = from_unix_us(to_unix_us(audited));
    tac.expiration = from_unix_us(to_unix_us(tac.ntp_time + life));
    tac.not_before = whole_second(tac.ntp_time);
    tac.not_after = whole_second(tac.expiration);
}

Result<Bytes> encode_info(const Tac& tac) {
    if (const std::string why = departure(tac); !why.empty())
        return Error::usage("TAC: " + why + "; it can't be issued like this");
    const Bytes holder = der::sequence(
        {der::tlv(der::context(1, true), directory_name(tac.holder_name)),
         der::tlv(der::context(2, true), {der::tlv(der::enumerated, Bytes{1}), write(tac.digest_algorithm),
                                          der::bits(tac.holder_digest)})});
    const Bytes issuer =
        der::tlv(der::context(0, true), der::tlv(der::sequence_tag, directory_name(tac.issuer_name)));
    const Bytes validity =
        der::sequence({der::generalized_time(tac.not_before, 0), der::generalized_time(tac.not_after, 0)});
    // The profile fixes the order of the two (8.2); a SEQUENCE OF would leave it open.
    const Bytes attributes = der::sequence({attribute(oid_timing_metrics, timing_metrics(tac)),
                                            attribute(oid_timing_policy, timing_policy(tac))});
    return der::sequence({der::integer(1), holder, issuer, write(tac.signature_algorithm),
                          der::integer_octets(tac.serial), validity, attributes,
                          extensions(*tac.authority_key)});
}

Bytes assemble(View info, const Algorithm& algorithm, View signature) {
    return der::sequence({info, write(algorithm), der::bits(signature)});
}

Result<SignedTac> decode(View der) {
    if (der.size() > largest_tac)
        return Error::no("TAC: " + std::to_string(der.size()) + " octets, at most " +
                         std::to_string(largest_tac) + " are read");
    SignedTac result;
    result.der.assign(der.begin(), der.end());
    der::Reader reader(result.der, der::Integers::tolerate_long);
    {
        der::Reader certificate = reader.enter(der::sequence_tag, "AttributeCertificate");
        read_info(certificate, result.tac);
        result.outer_algorithm = read_algorithm(certificate, "signatureAlgorithm");
        result.signature = certificate.read_bit_string("signatureValue");
        certificate.finish("AttributeCertificate");
    }
    reader.finish("AttributeCertificate");
    if (reader.failed()) return Error::no("TAC: " + reader.fault().text());
    der::Reader again(result.der, der::Integers::tolerate_long);
    der::Reader inside = again.enter(der::sequence_tag, "AttributeCertificate");
    const View info = inside.expect(der::sequence_tag, "AttributeCertificateInfo").whole;
    result.info.assign(info.begin(), info.end());
    return result;
}

std::string serial_hex(View serial) {
    std::string hex = to_hex(serial);
    hex.erase(0, std::min(hex.find_first_not_of('0'), hex.size()));
    return hex.empty() ? "0" : hex;
}

}  // namespace kokuin::tac
