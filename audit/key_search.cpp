#include "audit/key_search.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"

namespace kokuin::audit {
namespace {}  // namespace

Result<std::set<store::BlobId>> certificates_of_key(store::ArchiveReader& reader, const std::string& key) {
    std::set<store::BlobId> found;
    const auto digest = from_hex(key);
    const auto spki = digest ? to_hex(*digest) : key;
    store::EventQuery query;
    query.kind = "key.certified";
    auto done = reader.events(query, [&](const store::Found& one) {
        const auto& event = one.event();
        if (event.value<std::string>("key") != key && event.value<std::string>("spki_sha256") != spki)
            return true;
        const auto certificate = from_hex(event.value<std::string>("certificate"));
        store::BlobId id{};
        if (!certificate || certificate->size() != id.size()) return true;
        std::copy(certificate->begin(), certificate->end(), id.begin());
        found.insert(id);
        return true;
    });
    if (!done) return std::move(done).error();
    if (found.empty())
        return Error::no(
            "--key: no key '" + one_line(key, 200) +
            "' was ever certified: give the label of a TSU's key, or the SHA-256 of its public key");
    return found;
}

}  // namespace kokuin::audit
