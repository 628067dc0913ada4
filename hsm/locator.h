// Which token is meant: by label or by pkcs11: URI. Internal to hsm.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "hsm/call.h"

struct p11_kit_uri;

namespace kokuin::hsm {

/// A token found in a slot.
struct FoundToken {
    CK_SLOT_ID slot = 0;
    std::string label;
    std::string serial;
    CK_FLAGS flags = 0;

    /// What tells it from the module's other tokens, whatever slot it is in: label and serial number, because
    /// there are modules that give all of theirs the same number.
    [[nodiscard]] std::string identity() const { return label + '\0' + serial; }
};

/// Names one token. Immutable.
class Locator {
  public:
    /// `text`: a label (at most 32 octets), or a "pkcs11:" URI (RFC 7512) with token attributes. A URI with a
    /// PIN is refused, so that no PIN gets into configurations and logs; so is one with attributes that
    /// p11-kit doesn't know.
    static Result<Locator> parse(const std::string& text);

    /// Looks through the slots of the module. Exactly one initialised token must fit.
    Result<FoundToken> find(const ModuleCall& call) const;

    /// As it was given.
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    struct FreeUri {
        void operator()(p11_kit_uri* uri) const;
    };
    std::string text_;
    // Empty: `text_` is a label. Owned here alone: p11-kit's URIs have no copy.
    std::unique_ptr<p11_kit_uri, FreeUri> uri_;
};

}  // namespace kokuin::hsm
