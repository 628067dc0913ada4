// One token's record against everything that it rests on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "audit/key_history.h"
#include "audit/trust.h"
#include "base/bytes.h"
#include "base/result.h"
#include "store/blob.h"
#include "store/record.h"

namespace kokuin::audit {

/// What is wrong with a record.
struct Objection {
    std::string kind;    ///< "blob", "token", "certificate", "tac", "clock", "key"
    std::string detail;  ///< one line
};

/// Checks tokens one after the other, and remembers what many of them share. One thread at a time; everything
/// it is made of must outlive it.
class TokenCheck {
  public:
    /// A blob's content as it stands in the record's segment; nothing if it isn't there.
    using Blobs = std::function<Result<std::optional<Bytes>>(const store::BlobId&)>;
    /// `trust`: null, then no path of certificates is judged.
    TokenCheck(const Trust* trust, const KeyHistory& keys, Blobs blobs);
    ~TokenCheck();
    TokenCheck(const TokenCheck&) = delete;
    TokenCheck& operator=(const TokenCheck&) = delete;

    /// Its blobs are what their names say; the token, rebuilt, is signed by the certificate that the record
    /// names and says what the record says; the certificate's path leads to an anchor at genTime, and its key
    /// was active; the TAC is the TSU's and holds at genTime; the clock's bound follows from its evidence,
    /// and isn't larger than the accuracy that the token states. Empty if all of it is true.
    std::vector<Objection> check(const store::Record& record, const store::Issuance& issuance);
    /// The token that check() has rebuilt last; empty if it couldn't.
    [[nodiscard]] const Bytes& token() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kokuin::audit
