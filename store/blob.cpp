#include "store/blob.h"

#include <botan/hash.h>

namespace kokuin::store {

BlobId blob_id(View content) {
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(content.data(), content.size());
    BlobId id{};
    hash->final(id.data());
    return id;
}

Blob::Blob(Bytes content) {
    const BlobId id = blob_id(content);
    inner_ = std::make_shared<const Inner>(Inner{id, std::move(content)});
}

}  // namespace kokuin::store
