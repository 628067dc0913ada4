// TSUs that ask to be audited for their next certificate (KEY-4: a key is replaced every year).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "taa/config.h"

namespace kokuin::taa {

/// Which next certificates wait for an audit. Thread-safe.
class Successors {
  public:
    /// A TSU (of this table, signing with `current`) shows its next certificate. Taken if it is a TSU's, has
    /// the subject of the current one (TSA-18), and is under the table's `successors` CA, all validities
    /// inside each other (CA-5). Error (no): why not, fit for the TSU's operators; (environment): a file of
    /// ours can't be read.
    /// Nor one that began before the current one: keys are replaced by newer ones.
    Done show(const TsuSettings& tsu, const pki::Certificate& current, View der, WallTime now);
    /// The one that waits, once: it doesn't wait any more.
    std::optional<pki::Certificate> take(const std::string& tsu);

  private:
    std::mutex mutex_;
    std::map<std::string, pki::Certificate> waiting_;
};

}  // namespace kokuin::taa
