#include "store/record.h"

#include <algorithm>
#include <utility>

#include "base/der.h"
#include "store/context.h"
#include "store/record_der.h"

namespace kokuin::store {
namespace {

using der::context;

// Versions are of the form, one for each kind; 2 was an issuance's before any release.
constexpr std::int64_t event_version = 1;
constexpr std::int64_t issuance_version = 3;
constexpr std::uint8_t salt_tag = context(0, false);
constexpr std::uint8_t issuance_tag = context(1, true);
constexpr std::uint8_t event_tag = context(2, true);
constexpr std::uint8_t clock_tag = context(3, true);
constexpr std::size_t longest_key = 64;
constexpr std::size_t longest_text = 4096;
constexpr std::size_t longest_imprint = 1024;
const char* const advice = ": the archive is damaged, restore a copy";

/// UTF-8 without control characters. (der::Reader::read_utf8 is the judge of UTF-8 for both directions.)
bool is_one_line(std::string_view text) {
    if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        return false;
    const Bytes whole = der::utf8(text);
    der::Reader reader(whole);
    (void)reader.read_utf8("text");
    return !reader.failed();
}

bool is_utf8(std::string_view text) {
    const Bytes whole = der::utf8(text);
    der::Reader reader(whole);
    (void)reader.read_utf8("text");
    return !reader.failed();
}

bool is_kind(std::string_view text) {
    return !text.empty() && text.size() <= longest_key && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

bool has_value(View magnitude) {
    return std::any_of(magnitude.begin(), magnitude.end(), [](std::uint8_t octet) { return octet != 0; });
}

/// What is wrong with a body, or nothing: the same judge for writing and reading.
std::optional<std::string> objection(const OwnIssuance& body) {
    if (!has_value(body.serial) || body.serial.size() > longest_serial)
        return "serial: must be positive and at most 256 octets";
    if (body.imprint.empty() || body.imprint.size() > longest_imprint)
        return "imprint: must be 1 to 1024 octets";
    if (body.clock_bound_us < 0) return "clock bound: must not be negative";
    if (body.clock && body.clock->gap_ns < 0) return "clock: a negative gap";
    if (std::any_of(body.literals.begin(), body.literals.end(),
                    [](const Bytes& octets) { return octets.empty(); }))
        return "token: an empty literal part";
    return std::nullopt;
}

std::optional<std::string> objection(const Event& body) {
    if (!is_kind(body.kind)) return "kind: must be 1 to 64 of a-z, 0-9, '.', '-', '_'";
    if (!is_name(body.subject, 0, longest_name))
        return "subject: must be one line of UTF-8, at most 256 octets";
    if (!is_name(body.text, 0, longest_text)) return "text: must be one line of UTF-8, at most 4096 octets";
    for (const auto& [key, value] : body.fields) {
        if (!is_name(key, 1, longest_key)) return "field key: must be one line of UTF-8, 1 to 64 octets";
        const auto* text = std::get_if<std::string>(&value);
        if (text && !is_utf8(*text)) return "field: text that is not UTF-8";
    }
    return std::nullopt;
}

Bytes encode_issuance(const OwnIssuance& body) {
    Bytes literals;
    for (const Bytes& octets : body.literals) append(literals, der::octets(octets));
    const Bytes clock =
        body.clock ? der::tlv(clock_tag, {der::octets(body.clock->basis), der::integer(body.clock->m_ns),
                                          der::integer(body.clock->c_ns), der::integer(body.clock->gap_ns),
                                          der::integer(body.clock->asleep_low_ns),
                                          der::integer(body.clock->asleep_high_ns)})
                   : Bytes{};
    return der::tlv(issuance_tag,
                    {der::octets(body.context), der::unsigned_integer(body.serial),
                     der::integer(body.gen_time_us), der::octets(body.imprint),
                     der::integer(body.clock_bound_us), clock, der::tlv(der::sequence_tag, literals)});
}

Bytes encode_event(const Event& body) {
    Bytes fields;
    for (const auto& [key, value] : body.fields) {  // a std::map of octets: ascending, each key once
        Bytes encoded;
        if (const auto* text = std::get_if<std::string>(&value)) {
            encoded = der::utf8(*text);
        } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
            encoded = der::integer(*number);
        } else {
            encoded = der::octets(std::get<Bytes>(value));
        }
        append(fields, der::sequence({der::utf8(key), encoded}));
    }
    Bytes blobs;
    for (const BlobId& id : body.blobs) append(blobs, der::octets(id));
    return der::tlv(event_tag, {der::utf8(body.kind), der::utf8(body.subject), der::utf8(body.text),
                                der::tlv(der::sequence_tag, fields), der::tlv(der::sequence_tag, blobs)});
}

OwnIssuance read_issuance(der::Reader& reader) {
    OwnIssuance body;
    body.context = read_fixed<32>(reader, "context");
    body.serial = read_magnitude(reader, "serial");
    body.gen_time_us = reader.read_int64("genTime");
    body.imprint = reader.read_octets("imprint");
    body.clock_bound_us = reader.read_int64("clock bound");
    if (reader.next_is(clock_tag)) {
        der::Reader clock = reader.enter(clock_tag, "clock");
        ClockProof proof;
        proof.basis = read_fixed<32>(clock, "clock basis");
        proof.m_ns = clock.read_int64("M");
        proof.c_ns = clock.read_int64("C");
        proof.gap_ns = clock.read_int64("gap");
        proof.asleep_low_ns = clock.read_int64("asleep");
        proof.asleep_high_ns = clock.read_int64("asleep");
        clock.finish("clock");
        body.clock = proof;
    }
    der::Reader literals = reader.enter(der::sequence_tag, "literals");
    while (!literals.at_end()) body.literals.push_back(literals.read_octets("literal"));
    return body;
}

Event read_event(der::Reader& reader) {
    Event body;
    body.kind = reader.read_utf8("kind");
    body.subject = reader.read_utf8("subject");
    body.text = reader.read_utf8("text");
    der::Reader fields = reader.enter(der::sequence_tag, "fields");
    while (!fields.at_end()) {
        der::Reader field = fields.enter(der::sequence_tag, "field");
        std::string key = field.read_utf8("key");
        FieldValue value;
        if (field.next_is(der::utf8_string)) {
            value = field.read_utf8("value");
        } else if (field.next_is(der::integer_tag)) {
            value = field.read_int64("value");
        } else {
            value = field.read_octets("value");
        }
        field.finish("field");
        if (!body.fields.empty() && key <= body.fields.rbegin()->first)
            fields.fail("fields: keys not ascending");
        body.fields.insert_or_assign(std::move(key), std::move(value));
    }
    der::Reader blobs = reader.enter(der::sequence_tag, "blobs");
    while (!blobs.at_end()) body.blobs.push_back(read_fixed<32>(blobs, "blob"));
    return body;
}

}  // namespace

bool is_name(std::string_view text, std::size_t least, std::size_t most) {
    return text.size() >= least && text.size() <= most && is_one_line(text);
}

Bytes read_magnitude(der::Reader& reader, std::string_view what) {
    Bytes content = reader.read_integer(what);
    if (!content.empty() && (content.front() & 0x80U)) reader.fail(std::string(what) + ": negative");
    if (!content.empty() && content.front() == 0) content.erase(content.begin());
    return content;
}

Result<EncodedBody> encode_body(const Issuance& body) {
    const Context common = context_of(body);
    OwnIssuance own{{}, body.serial, body.gen_time_us, body.imprint, body.clock_bound_us, body.clock, {}};
    for (const Part& part : body.token)
        if (const auto* octets = std::get_if<Literal>(&part)) own.literals.push_back(octets->octets);
    for (const auto& wrong : {objection(own), objection(common)})
        if (wrong) return Error::usage("record: " + *wrong);
    Blob blob(encode(common));
    own.context = blob.id();
    return EncodedBody{issuance_version, encode_issuance(own), std::move(blob)};
}

Result<EncodedBody> encode_body(const Event& body) {
    if (const auto wrong = objection(body)) return Error::usage("record: " + *wrong);
    return EncodedBody{event_version, encode_event(body), {}};
}

Bytes encode_around(RecordNumber number, std::int64_t at_us, const std::optional<Salt>& salt,
                    const EncodedBody& body) {
    return der::sequence({der::integer(body.version), der::integer(number), der::integer(at_us),
                          salt ? der::tlv(salt_tag, *salt) : Bytes{}, body.der});
}

Result<Bytes> encode(const Record& record) {
    if (record.number < 0) return Error::usage("record: number: must not be negative");
    if (record.salt.has_value() == std::holds_alternative<Issuance>(record.body))
        return Error::usage("record: salt: everything but issuances has one");
    const auto body = std::visit([](const auto& kind) { return encode_body(kind); }, record.body);
    if (!body) return body.error();
    return encode_around(record.number, record.at_us, record.salt, *body);
}

Result<BareRecord> decode_bare(View octets) {
    der::Reader outer(octets);
    BareRecord record;
    {
        der::Reader reader = outer.enter(der::sequence_tag, "record");
        const std::int64_t found = reader.read_int64("version");
        if (!reader.failed() && found != event_version && found != issuance_version)
            return Error::environment("record: version " + std::to_string(found) +
                                      ", this program knows versions 1 and 3: use the program of that time, "
                                      "or a newer one");
        record.number = reader.read_int64("number");
        if (record.number < 0) reader.fail("number: negative");
        record.at_us = reader.read_int64("at");
        if (reader.next_is(salt_tag)) {
            const View salt = reader.any().content;
            record.salt = fixed<16>(reader, salt, "salt");
        }
        const bool is_issuance = found == issuance_version;
        if (!reader.failed() && is_issuance == record.salt.has_value())
            reader.fail("salt: everything but issuances has one");
        der::Reader body = reader.enter(is_issuance ? issuance_tag : event_tag, "body");
        if (is_issuance) {
            record.body = read_issuance(body);
        } else {
            record.body = read_event(body);
        }
        body.finish("body");
        reader.finish("record");
    }
    outer.finish("record");
    if (outer.failed()) return Error::environment("record: " + outer.fault().text() + advice);
    if (const auto wrong = std::visit([](const auto& kind) { return objection(kind); }, record.body))
        return Error::environment("record: " + *wrong + advice);
    return record;
}

Result<Record> complete(BareRecord record, Contexts& contexts, const BlobLookup& blobs) {
    if (auto* event = std::get_if<Event>(&record.body))
        return Record{record.number, record.at_us, record.salt, std::move(*event)};
    auto& own = std::get<OwnIssuance>(record.body);
    const auto found = contexts.find(own.context, blobs);
    if (!found) return found.error();
    const Context& common = **found;
    Parts token = common.token;
    std::size_t next = 0;
    for (Part& part : token) {
        if (!std::holds_alternative<Literal>(part)) continue;
        if (next == own.literals.size())
            return Error::environment(std::string("record: too few literals") + advice);
        part = Literal{std::move(own.literals[next++])};
    }
    if (next != own.literals.size())
        return Error::environment(std::string("record: too many literals") + advice);
    return Record{record.number, record.at_us, record.salt,
                  Issuance{std::move(own.serial), own.gen_time_us, common.policy, common.imprint_algorithm,
                           std::move(own.imprint), common.tsu, common.tac, own.clock_bound_us, own.clock,
                           common.certificate, std::move(token)}};
}

Result<Record> decode(View octets, Contexts& contexts, const BlobLookup& blobs) {
    auto record = decode_bare(octets);
    if (!record) return record.error();
    return complete(std::move(*record), contexts, blobs);
}

namespace {
std::vector<BlobId> each_once(std::vector<BlobId> ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}
}  // namespace

std::vector<BlobId> blobs_of(const Issuance& body) {
    std::vector<BlobId> ids{body.certificate};
    if (body.tac) ids.push_back(body.tac->blob);
    if (body.clock) ids.push_back(body.clock->basis);
    for (const Part& part : body.token)
        if (const auto* reference = std::get_if<BlobReference>(&part)) ids.push_back(reference->id);
    return each_once(std::move(ids));
}

std::vector<BlobId> blobs_of(const Event& body) {
    return each_once(body.blobs);
}

}  // namespace kokuin::store
