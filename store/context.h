// What issuances of one TSU, policy and TAC have in common, kept once: a blob that their records name, the
// context. docs/archive.md holds its ASN.1. Used inside the store, and by whoever decodes records.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::store {

/// The fields are those of Issuance.
struct Context {
    std::string policy;
    std::string imprint_algorithm;
    std::string tsu;
    std::optional<TacReference> tac;
    BlobId certificate{};
    Parts token;  ///< its literals are empty: here stand those of the record, in their order
    bool operator==(const Context&) const = default;
};

/// What of `issuance` is in its context.
Context context_of(const Issuance& issuance);
/// What is outside the ranges that record.h tells, one line; nothing: all is well.
std::optional<std::string> objection(const Context& context);
/// Only of one without objection.
Bytes encode(const Context& context);
/// Strict: octets that decode are exactly those that encode() makes of the result. Error (environment) with
/// the offset and what was wrong.
Result<Context> decode_context(View der);

/// Contexts that were read, of one segment, so that those that follow need not be read again; some hundreds
/// at most are kept. One thread at a time.
class Contexts {
  public:
    /// Valid until the next call. Error (environment, or what `blobs` says): it isn't there, its SHA-256
    /// isn't its name, or it can't be decoded.
    Result<const Context*> find(const BlobId& id, const BlobLookup& blobs);

  private:
    std::map<BlobId, Context> known_;
};

}  // namespace kokuin::store
