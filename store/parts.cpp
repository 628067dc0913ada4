#include "store/parts.h"

#include <botan/hash.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "base/der.h"

namespace kokuin::store {
namespace {

// A reference costs 34 octets.
constexpr std::size_t least_blob = 40;
// Shorter ones stand in a token by chance, and save nothing.
constexpr std::size_t least_field = 8;

constexpr std::pair<std::string_view, const char*> hashes[] = {{"2.16.840.1.101.3.4.2.1", "SHA-256"},
                                                               {"2.16.840.1.101.3.4.2.2", "SHA-384"},
                                                               {"2.16.840.1.101.3.4.2.3", "SHA-512"}};

/// Null: none that this program knows.
const char* name_of(std::string_view oid) {
    const auto* found =
        std::find_if(std::begin(hashes), std::end(hashes), [&](const auto& one) { return one.first == oid; });
    return found == std::end(hashes) ? nullptr : found->second;
}

/// Nothing if `token` doesn't hold all that the digest is of, or the hash isn't known.
std::optional<Bytes> compute(const Digest& digest, View token) {
    const char* name = name_of(digest.algorithm);
    const auto size = static_cast<std::int64_t>(token.size());
    if (!name || digest.begin < 0 || digest.length < 1 || digest.begin > size ||
        digest.length > size - digest.begin)
        return std::nullopt;
    // Looking an algorithm up costs more than hashing with it.
    thread_local std::map<const char*, std::unique_ptr<Botan::HashFunction>> known;
    auto& hash = known[name];
    if (!hash) hash = Botan::HashFunction::create_or_throw(name);
    hash->update(token.data() + digest.begin, static_cast<std::size_t>(digest.length));
    Bytes result(hash->output_length());
    hash->final(result.data());
    return result;
}

/// Where `needle` first stands in `hay`.
std::optional<std::size_t> locate(View hay, View needle) {
    if (needle.empty() || hay.size() < needle.size()) return std::nullopt;
    const void* hit = ::memmem(hay.data(), hay.size(), needle.data(), needle.size());
    if (!hit) return std::nullopt;
    return static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - hay.data());
}

/// A stretch of the token, and the part that says the same, unless it is still literal.
struct Stretch {
    View octets;
    std::optional<Part> part;
};

/// Replaces `needle` wherever it stands in a literal stretch.
void replace(std::vector<Stretch>& stretches, View needle, const Part& part) {
    for (std::size_t i = 0; i < stretches.size(); ++i) {
        if (stretches[i].part) continue;
        const View hay = stretches[i].octets;
        const auto at = locate(hay, needle);
        if (!at) continue;
        std::vector<Stretch> instead;
        if (*at > 0) instead.push_back({hay.first(*at), std::nullopt});
        instead.push_back({hay.subspan(*at, needle.size()), part});
        const View rest = hay.subspan(*at + needle.size());
        if (!rest.empty()) instead.push_back({rest, std::nullopt});
        const std::size_t reference = i + (*at > 0 ? 1 : 0);
        stretches.erase(stretches.begin() + static_cast<std::ptrdiff_t>(i));
        stretches.insert(stretches.begin() + static_cast<std::ptrdiff_t>(i), instead.begin(), instead.end());
        i = reference;  // the rest is looked at next
    }
}

Bytes literal(View octets) {
    return {octets.begin(), octets.end()};
}

}  // namespace

bool can_digest(std::string_view oid) {
    return name_of(oid) != nullptr;
}

Parts split(View token, const std::vector<Blob>& known, View imprint, View serial,
            const std::optional<Digest>& digest) {
    std::vector<const Blob*> sorted;
    for (const Blob& blob : known)
        if (blob.content().size() >= least_blob) sorted.push_back(&blob);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Blob* a, const Blob* b) {
        if (a->content().size() != b->content().size()) return a->content().size() > b->content().size();
        return a->id() < b->id();
    });

    std::vector<Stretch> stretches{{token, std::nullopt}};
    for (const Blob* blob : sorted) replace(stretches, blob->content(), BlobReference{blob->id()});
    if (imprint.size() >= least_field) replace(stretches, imprint, Field::imprint);
    const Bytes integer = der::unsigned_integer(serial);
    if (integer.size() >= least_field) replace(stretches, integer, Field::serial);
    if (digest)
        if (const auto octets = compute(*digest, token)) replace(stretches, *octets, *digest);

    Parts parts;
    parts.reserve(stretches.size());
    for (const Stretch& stretch : stretches) {
        if (stretch.part) {
            parts.push_back(*stretch.part);
        } else if (!stretch.octets.empty()) {
            parts.emplace_back(Literal{literal(stretch.octets)});
        }
    }

    // The promise of this function is too important to rest on the lines above.
    const auto source = [&](const BlobId& id) -> std::optional<Bytes> {
        for (const Blob* blob : sorted)
            if (blob->id() == id) return literal(blob->content());
        return std::nullopt;
    };
    const auto again = join(parts, source, imprint, serial);
    if (again && equal(*again, token)) return parts;
    return {Literal{literal(token)}};
}

namespace {
/// Far more than any token has. A record that nobody vouches for could name one blob many times.
constexpr std::size_t largest_token = 1U << 20U;
}  // namespace

Result<Bytes> join(const Parts& parts, const BlobSource& blobs, View imprint, View serial) {
    Bytes token;
    for (const Part& part : parts) {
        if (token.size() > largest_token) return Error::environment("a token larger than 1 MiB");
        if (const auto* octets = std::get_if<Literal>(&part)) {
            append(token, octets->octets);
        } else if (const auto* reference = std::get_if<BlobReference>(&part)) {
            const auto content = blobs(reference->id);
            if (!content)
                return Error::environment(
                    "a token needs the blob " + to_hex(reference->id) +
                    ", which its segment doesn't hold: the archive is damaged, restore a copy");
            append(token, *content);
        } else if (const auto* digest = std::get_if<Digest>(&part)) {
            const auto computed = compute(*digest, token);
            if (!computed)
                return Error::environment(
                    "a token holds the digest of octets that don't come before it: the archive is damaged, "
                    "restore a copy");
            append(token, *computed);
        } else if (std::get<Field>(part) == Field::imprint) {
            append(token, imprint);
        } else {
            append(token, der::unsigned_integer(serial));
        }
    }
    return token;
}

}  // namespace kokuin::store
