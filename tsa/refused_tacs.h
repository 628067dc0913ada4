// Refused TACs on their way into the archive.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "store/blob.h"
#include "store/record.h"
#include "tac/validate.h"
#include "tsa/journal.h"

namespace kokuin::tsa {

/// Archives refused TACs (kind "tac.refused") without letting a TAA gone wrong fill the archive: the first
/// refusal of a TSU for a reason goes in at once, with the TAC; what follows within the hour for the same
/// reason is counted, and archived as one event with that number and the last of these TACs. So there are at
/// most as many records an hour as there are TSUs and reasons, and none of them hides how often it happened.
/// What can't be archived stays counted and is tried again. Thread-safe; the journal must outlive it.
class RefusedTacs {
  public:
    explicit RefusedTacs(Journal& journal) : journal_(journal) {}

    void refuse(const std::string& tsu, const tac::Refusal& refusal, View der, MonoTime now);
    /// Archives what is due. Called every second or so.
    void tick(MonoTime now);
    /// Archives all that is counted, due or not: at the end.
    void flush(MonoTime now);

  private:
    struct Counted {
        MonoTime due{};          // nothing is archived before
        std::int64_t count = 0;  // since the last event
        store::Event last;
        std::vector<store::Blob> blobs;
    };
    using Key = std::pair<std::string, tac::Reason>;
    void archive_due(MonoTime now, bool all);
    void archive(Counted& counted, MonoTime now);

    Journal& journal_;
    std::mutex mutex_;  // held while it archives: refusals are answered one after the other
    std::map<Key, Counted> counted_;
};

}  // namespace kokuin::tsa
