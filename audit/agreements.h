// Acts that custodians have to agree to (KEY-2, ARC-7), and whether an archive's records say that they had.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/problem.h"
#include "base/result.h"
#include "store/reader.h"
#include "store/removal.h"

namespace kokuin::audit {

/// What was done, by the record of it.
struct Act {
    store::RecordNumber number = 0;
    std::string_view name;        ///< of a statement: "key-destroy"
    std::string_view proposal;    ///< that it names; empty: none
    std::string part;             ///< of what they signed: what it was done to
    std::string_view token = {};  ///< whose custodians; empty: those of any
};

/// An act that several must agree to where custodians hold a PIN, done by one person alone, as its own record
/// says: with a `pin_file` the server asks nobody. No fault of the archive's; to be told.
struct Alone {
    store::RecordNumber number = 0;
    std::string segment;
    std::string kind;
    store::RecordNumber since = 0;  ///< the record since which custodians hold one
};

/// Records "custody.shared", "custody.agreed" and "custody.activated", as the archive has them. (Whether
/// custodians signed them is custody_check.h's business.) `removals` must outlive it.
class Agreements {
  public:
    /// Error (environment): the archive can't be read.
    static Result<Agreements> read(store::ArchiveReader& reader, const store::Removals& removals);

    /// Nothing: there is a record before it that they had agreed to this act; or nobody had shared a PIN; or
    /// such a record may have been removed after its time. Otherwise the record since which custodians hold
    /// it.
    [[nodiscard]] std::optional<store::RecordNumber> lacking(const Act& act) const;

    /// Events "key.destroyed", "programs.accepted", "import.erased" (agreed to before) and
    /// "archive.restored", where it names custodians (who opened a token for it: records just behind it);
    /// those below `end`. Problem "custody" where they are said to have agreed and hadn't; what nobody is
    /// said to have agreed to is returned.
    [[nodiscard]] std::vector<Alone> check_acts(store::ArchiveReader& reader, store::RecordNumber end,
                                                std::vector<Problem>& problems) const;

  private:
    explicit Agreements(const store::Removals& removals) : removals_(removals) {}
    /// A record of this kind between these two, by a removal after them: one can't excuse itself.
    [[nodiscard]] bool may_be_removed(std::string_view kind, store::RecordNumber from,
                                      store::RecordNumber to) const;
    void check_restored(const store::Found& found, std::vector<Problem>& problems) const;

    struct Said {
        store::RecordNumber number = 0;
        std::string token;
        std::string act;
        std::string proposal;
        std::string content;
    };
    const store::Removals& removals_;
    std::vector<Said> shared_;
    std::vector<Said> agreed_;
    std::vector<Said> opened_;
};

}  // namespace kokuin::audit
