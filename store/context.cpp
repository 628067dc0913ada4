#include "store/context.h"

#include <utility>

#include "base/der.h"
#include "store/record_der.h"

namespace kokuin::store {
namespace {

using der::context;

constexpr std::int64_t this_version = 1;
constexpr std::uint8_t tac_tag = context(0, true);
constexpr std::uint8_t literal_tag = context(0, false);
constexpr std::uint8_t blob_tag = context(1, false);
constexpr std::uint8_t field_tag = context(2, false);
constexpr std::uint8_t digest_tag = context(3, true);
/// Each is some kilobytes.
constexpr std::size_t most_known = 256;

Bytes encode_part(const Part& part) {
    if (std::holds_alternative<Literal>(part)) return der::tlv(literal_tag, View());
    if (const auto* reference = std::get_if<BlobReference>(&part)) return der::tlv(blob_tag, reference->id);
    if (const auto* digest = std::get_if<Digest>(&part))
        return der::tlv(digest_tag, {der::oid(digest->algorithm), der::integer(digest->begin),
                                     der::integer(digest->length)});
    const std::uint8_t field[] = {static_cast<std::uint8_t>(std::get<Field>(part))};
    return der::tlv(field_tag, field);
}

Part read_part(der::Reader& reader) {
    if (reader.next_is(literal_tag)) {
        if (!reader.any().content.empty()) reader.fail("literal part: its octets belong into the record");
        return Literal{};
    }
    if (reader.next_is(blob_tag)) {
        const View content = reader.any().content;
        return BlobReference{fixed<32>(reader, content, "blob part")};
    }
    if (reader.next_is(digest_tag)) {
        der::Reader inner = reader.enter(digest_tag, "digest part");
        Digest digest;
        digest.algorithm = inner.read_oid("digest algorithm");
        digest.begin = inner.read_int64("digest begin");
        digest.length = inner.read_int64("digest length");
        inner.finish("digest part");
        return digest;
    }
    const View content = reader.expect(field_tag, "part").content;
    if (!reader.failed() && (content.size() != 1 || content[0] > 1)) reader.fail("part: no such field");
    return content.size() == 1 && content[0] == 1 ? Field::serial : Field::imprint;
}

}  // namespace

Context context_of(const Issuance& issuance) {
    Context common{issuance.policy, issuance.imprint_algorithm, issuance.tsu,
                   issuance.tac,    issuance.certificate,       {}};
    common.token.reserve(issuance.token.size());
    for (const Part& part : issuance.token)
        common.token.push_back(std::holds_alternative<Literal>(part) ? Part(Literal{}) : part);
    return common;
}

std::optional<std::string> objection(const Context& common) {
    if (!der::is_oid(common.policy)) return "policy: not an OID";
    if (!der::is_oid(common.imprint_algorithm)) return "imprint algorithm: not an OID";
    if (!is_name(common.tsu, 1, longest_name)) return "tsu: must be one line of UTF-8, 1 to 256 octets";
    if (common.tac && common.tac->serial.size() > longest_serial) return "TAC serial: at most 256 octets";
    if (common.token.empty()) return "token: has no parts";
    bool after_literal = false;
    for (const Part& part : common.token) {
        const bool literal = std::holds_alternative<Literal>(part);
        if (literal && after_literal) return "token: two literal parts side by side";
        after_literal = literal;
        const auto* digest = std::get_if<Digest>(&part);
        if (!digest) continue;
        if (!can_digest(digest->algorithm)) return "token: a digest by a hash that isn't known";
        if (digest->begin < 0 || digest->length < 1) return "token: a digest of no octets";
    }
    return std::nullopt;
}

Bytes encode(const Context& common) {
    Bytes parts;
    for (const Part& part : common.token) append(parts, encode_part(part));
    const Bytes tac =
        common.tac
            ? der::tlv(tac_tag, {der::octets(common.tac->blob), der::unsigned_integer(common.tac->serial)})
            : Bytes{};
    return der::sequence({der::integer(this_version), der::oid(common.policy),
                          der::oid(common.imprint_algorithm), der::utf8(common.tsu), tac,
                          der::octets(common.certificate), der::tlv(der::sequence_tag, parts)});
}

Result<Context> decode_context(View der) {
    der::Reader outer(der);
    Context common;
    {
        der::Reader reader = outer.enter(der::sequence_tag, "context");
        const std::int64_t version = reader.read_int64("version");
        if (!reader.failed() && version != this_version)
            return Error::environment("context: version " + std::to_string(version) +
                                      ", this program knows version 1: use a newer one");
        common.policy = reader.read_oid("policy");
        common.imprint_algorithm = reader.read_oid("imprint algorithm");
        common.tsu = reader.read_utf8("tsu");
        if (reader.next_is(tac_tag)) {
            der::Reader tac = reader.enter(tac_tag, "tac");
            TacReference reference;
            reference.blob = read_fixed<32>(tac, "TAC blob");
            reference.serial = read_magnitude(tac, "TAC serial");
            tac.finish("tac");
            common.tac = std::move(reference);
        }
        common.certificate = read_fixed<32>(reader, "certificate");
        der::Reader parts = reader.enter(der::sequence_tag, "token");
        while (!parts.at_end()) common.token.push_back(read_part(parts));
        reader.finish("context");
    }
    outer.finish("context");
    if (outer.failed()) return Error::environment("context: " + outer.fault().text());
    if (const auto wrong = objection(common)) return Error::environment("context: " + *wrong);
    return common;
}

Result<const Context*> Contexts::find(const BlobId& id, const BlobLookup& blobs) {
    const auto known = known_.find(id);
    if (known != known_.end()) return &known->second;
    const std::string name = "its context, the blob " + to_hex(id) + ", ";
    static const std::string advice = ": the archive is damaged, restore a copy";
    const auto content = blobs(id);
    if (!content) return content.error();
    if (!*content) return Error::environment(name + "is missing" + advice);
    if (blob_id(**content) != id)
        return Error::environment(name + "has another SHA-256 than its name" + advice);
    auto common = decode_context(**content);
    if (!common) return Error::environment(name + "can't be read (" + common.error().text + ")" + advice);
    if (known_.size() >= most_known) known_.clear();
    return &known_.emplace(id, std::move(*common)).first->second;
}

}  // namespace kokuin::store
