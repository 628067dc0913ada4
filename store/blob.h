// Blobs: octet strings that many records need and that are stored once per segment: certificates, TACs, the
// constant stretches of a TSU's tokens. A blob's name is its SHA-256.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::store {

/// SHA-256 of a blob's content.
using BlobId = std::array<std::uint8_t, 32>;

/// SHA-256 of `content`. Pure.
BlobId blob_id(View content);

/// A blob and its name. Immutable; a copy shares the content, so passing blobs around is cheap. Thread-safe.
class Blob {
  public:
    /// Takes the content and computes its name.
    explicit Blob(Bytes content);
    [[nodiscard]] const BlobId& id() const { return inner_->id; }
    /// Valid as long as any copy of this blob lives.
    [[nodiscard]] View content() const { return inner_->content; }

  private:
    struct Inner {
        BlobId id;
        Bytes content;
    };
    std::shared_ptr<const Inner> inner_;
};

/// Where blobs come from when a token is rebuilt: the content, or nothing if there is no such blob.
using BlobSource = std::function<std::optional<Bytes>(const BlobId&)>;
/// The same where reading may fail.
using BlobLookup = std::function<Result<std::optional<Bytes>>(const BlobId&)>;

}  // namespace kokuin::store
