// Acts that custodians have to agree to (KEY-2, ARC-7), and whether an archive's records say that they had.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/problem.h"
#include "base/result.h"
#include "store/reader.h"
#include "store/removal.h"

namespace kokuin::audit {

/// The removals that are said by records under a checkpoint: nobody has signed what the others say, so they
/// excuse nothing.
std::vector<store::Expiry> signed_removals(const store::Removals& removals, std::uint64_t covered);

/// What was done, by the record of it.
struct Act {
    store::RecordNumber number = 0;
    std::string segment{};     ///< that the record stands in
    std::string name{};        ///< of a statement: "key-destroy"
    std::string proposal{};    ///< that it names; empty: none
    std::string custodians{};  ///< whom it names; empty: nobody
    std::string part{};        ///< of what they signed: what it was done to
    std::string token{};       ///< whose custodians; empty: those of any
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
/// custodians signed them is custody_check.h's business.)
class Agreements {
  public:
    /// `removals`: as of signed_removals(). Error (environment): the archive can't be read.
    static Result<Agreements> read(store::ArchiveReader& reader, std::vector<store::Expiry> removals);

    /// What is wrong with an act's agreement.
    struct Lacking {
        bool alone = false;  ///< it names nobody who had agreed; otherwise it names them, and they hadn't
        std::optional<store::RecordNumber> since{};  ///< the record since which custodians hold the PIN
        std::string text;                            ///< what is wrong, one clause
    };
    /// Nothing: a record before it says that they had agreed to this act, and no act before it names that
    /// agreement; or it names nobody, and nobody had shared a PIN; or the record may have been removed after
    /// its time: one of this or the month before, by a removal that came later.
    [[nodiscard]] std::optional<Lacking> lacking(const Act& act) const;

    /// Events "key.destroyed", "programs.accepted", "import.erased" (agreed to before) and
    /// "archive.restored", where it names custodians (who opened a token for it: records just behind it);
    /// those below `end`. Problem "custody" where they are said to have agreed and hadn't; what nobody is
    /// said to have agreed to is returned.
    [[nodiscard]] std::vector<Alone> check_acts(store::ArchiveReader& reader, store::RecordNumber end,
                                                std::vector<Problem>& problems) const;

  private:
    struct Said {
        store::RecordNumber number = 0;
        std::string token;
        std::string act;
        std::string proposal;
        std::string content;
    };
    [[nodiscard]] bool may_be_removed(const char* kind, store::RecordNumber number,
                                      const std::string& segment) const;
    void check_restored(const store::Found& found, std::vector<Problem>& problems) const;

    std::vector<store::Expiry> removals_;
    std::vector<std::string> segments_;  // oldest first
    std::vector<Said> shared_;
    std::vector<Said> agreed_;
    std::vector<Said> opened_;
    std::map<std::string, store::RecordNumber> first_act_;  // that names a proposal
};

}  // namespace kokuin::audit
