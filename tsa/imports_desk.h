// Where operators import what the archive has to keep of others, and have its personal data erased (ARC-1,
// TSA-13): `tsactl archive import | imports | erase` over the Unix socket of a running tsad.
#pragma once

#include <mutex>
#include <string>

#include "base/net/router.h"
#include "base/result.h"
#include "store/archive.h"
#include "store/imports.h"
#include "store/personal.h"
#include "tsa/hsms.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// What it works with; all of it must outlive it.
struct ImportsParts {
    store::Archive& archive;
    Journal& journal;
    Hsms& hsms;
    std::string personal;  ///< folder of the contents; made with the first one
};

/// Thread-safe.
class ImportsDesk {
  public:
    explicit ImportsDesk(ImportsParts parts) : parts_(std::move(parts)), folder_(parts_.personal) {}

    /// At start: erases what a crash, or a restored copy of the folder, has left of contents whose erasure is
    /// recorded. What can't be is a line in the log, and told by the list.
    void settle();
    /// For root and the user tsad runs as; JSON in and out; errors as base/net/outcome.h has them.
    /// - GET /archive/imports: store::imports_json()
    /// - POST /archive/imports {"kind", "subject", "from", "to" (RFC 3339), "why", "by", "content" (base64)}:
    ///   {"id", "octets"}. The content is durable before its event is.
    /// - POST /archive/imports/erase {"id", "why", "by"}: asks the custodians ({"proposal", "hsm"}) of the
    ///   first HSM that has some, or is done at once ({"text"}). The event is durable before the content
    ///   goes.
    /// It must outlive the router.
    void add_routes(net::Router& router);

  private:
    [[nodiscard]] store::EventSource events() const;
    [[nodiscard]] Result<std::string> list();
    [[nodiscard]] Result<store::KeptContent> import(store::Import import, View content);
    /// What custodians agree to, in words; empty: its erasure is recorded already, only the file is left.
    /// Error (no): there is nothing to erase.
    [[nodiscard]] Result<std::string> erasable(const std::string& id) const;
    [[nodiscard]] Result<std::string> erase(const store::Erasure& wanted);
    [[nodiscard]] Result<std::string> carry_out(const store::Erasure& erasure);

    const ImportsParts parts_;
    const store::PersonalFolder folder_;
    std::mutex turn_;  // a content and its event belong together
};

}  // namespace kokuin::tsa
