// Which TSUs are served (TAA-6; Seiko policy 3.4–3.6: 接続の認証, 更新, 終了).
//
// A table [tsu.NAME] only says how to reach a TSU. It is measured, and gets a TAC or an order to stop, from
// the step with which an operator has admitted it until it is suspended or removed. Each step is a record of
// the archive that says who, when and why, and what was looked at; the records are the only memory there is.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/archive.h"
#include "taa/tsus.h"

namespace kokuin::taa {

/// What an operator does with a TSU.
enum class Step {
    admit,    ///< it is served from now on
    review,   ///< it was looked at again and stays what it is; with a new certificate, if it has one
    suspend,  ///< it isn't served for the time being
    resume,   ///< it is served again
    remove,   ///< it isn't served any more; it may be admitted anew
};
/// "admit", "review", …
std::string_view name(Step step);
std::optional<Step> step_of(std::string_view name);

/// True for the kinds of the events that record steps: "tsu.admitted", … Pure.
bool is_step(std::string_view kind);

/// What makes a TSU the one that was looked at. When the configuration says another one, it isn't served
/// until somebody has reviewed it.
struct Identity {
    std::string certificate;  ///< hex SHA-256 of the certificate it signs tokens with
    std::string peer;         ///< DNS name in its channel certificate
    std::string called;       ///< what its TSA calls it
    bool operator==(const Identity&) const = default;
};
Identity identity_of(const TsuSettings& settings, const pki::Certificate& certificate);

/// What the archive says of one TSU.
struct Admission {
    enum class State { unknown, admitted, suspended, removed };
    State state = State::unknown;
    WallTime since{};                      ///< the step that led to this state
    std::string why;                       ///< of that step
    std::string by;                        ///< who took it, as he said; may be empty
    std::string account;                   ///< the account of the TAA's machine that took it
    std::string tsa;                       ///< whose it is, as far as that was said
    Identity identity;                     ///< as it was looked at last
    WallTime reviewed{};                   ///< when that was: admitted or reviewed
    store::RecordNumber reviewed_in = -1;  ///< the record of it
    /// Certificates (hex SHA-256) that were looked at, or followed one that was, and have a successor now:
    /// whoever names one of them means `identity`.
    std::set<std::string> predecessors{};
    /// Next certificates that were audited, and have their TAC: by hex SHA-256. One of them is `identity` as
    /// soon as the TSU says that it signs with it.
    std::map<std::string, store::BlobId> candidates{};
    std::optional<store::BlobId> certificate{};  ///< that of `identity`
    /// Certificates (hex SHA-256) whose key is compromised, by the TSU's own word (KEY-6), and since when it
    /// is known.
    std::map<std::string, WallTime> compromised{};
};
/// What the configuration's identity stands for now. Pure.
Identity effective(const Admission& admission, Identity configured);
/// "unknown", "admitted", "suspended", "removed".
std::string_view name(Admission::State state);

/// Why a TSU isn't served, one line that says what to do; nothing: it is. `now`: the identity that the
/// configuration has for it; none if it isn't configured. `audited`: hex SHA-256 of the certificate that a
/// TAC is asked for; empty: it isn't about one. Pure.
std::optional<std::string> refusal(const std::string& tsu, const Admission& admission,
                                   const std::optional<Identity>& now, const std::string& audited = "");

/// When a TSU that is admitted or suspended is to be reviewed: nothing if it is neither. Pure.
std::optional<WallTime> review_due(const Admission& admission, nanoseconds within);

/// A search for events in an archive: Archive::events or ArchiveReader::events.
using EventSearch = std::function<Done(const store::EventQuery&, const store::Visitor&)>;
/// What the archive says of every TSU that anybody ever took a step about, by name.
Result<std::map<std::string, Admission>> read_admissions(const EventSearch& search);

/// The standing of the TSUs while taad runs, or while an operator takes a step without it. Thread-safe.
class Admissions {
  public:
    /// Reads the archive, which outlives it as the clock does. `tsus`: those of the configuration.
    static Result<std::unique_ptr<Admissions>> open(store::Archive& archive, const WallClock& wall,
                                                    const std::vector<AuditedTsu>& tsus);

    struct Order {
        Step step = Step::review;
        std::string tsu;
        std::string why;      ///< one line, 1 to 1000 octets
        std::string by;       ///< who takes the step, one line, 1 to 200 octets: accounts are shared
        std::string account;  ///< who asked, by the kernel's word
        /// Admit and review: what was looked at, by the configuration of whoever asks.
        std::optional<Identity> identity{};
    };
    /// Takes a step: durably recorded on return, and from then on nothing leaves for a TSU that was suspended
    /// or removed; what was about to leave, with a TAC recorded already, leaves first. Events "tsu.admitted",
    /// "tsu.reviewed", "tsu.suspended", "tsu.resumed", "tsu.removed" about the TSU; text: why; fields:
    /// account, by, tsa; admitted and reviewed: certificate (hex SHA-256), certificate_subject, peer,
    /// called, audit (its endpoint), policy, max_offset_us, max_delay_us, and the certificate as blob;
    /// reviewed: audits, good, stops, failed since the last look. Error (no): the step doesn't fit what the
    /// TSU is, or it isn't the one that was looked at; (usage): no such TSU, or a text that can't be
    /// recorded; (environment): the archive.
    Result<store::RecordNumber> take(const Order& order);

    /// A TSU's next certificate was audited and its TAC taken. Event "tsu.successor" about the TSU; fields
    /// certificate (hex SHA-256), certificate_subject, and the certificate as blob. Durable on return. Not an
    /// operator's step: the [tsu.NAME] successors CA vouches for it.
    /// False: it was recorded before.
    Result<bool> audited_successor(const std::string& tsu, const pki::Certificate& next);
    /// The TSU says that it signs with this certificate (SHA-256). True, durably, if it is such a successor
    /// of a TSU that is admitted: it is the one that is served from now on. Event "tsu.succeeded"; fields
    /// certificate and predecessor (hex SHA-256), certificate_subject, and the certificate as blob. False: it
    /// isn't; (environment): the archive.
    Result<bool> succeed(const std::string& tsu, View certificate_sha256);
    /// True if this certificate (SHA-256) was served before and has a successor.
    [[nodiscard]] bool is_predecessor(const std::string& tsu, View certificate_sha256) const;
    /// The certificate that this TSU is audited for: the configuration's, or that one's last successor. Only
    /// for a TSU that is configured (asking for another ends the process).
    [[nodiscard]] pki::Certificate certificate(const std::string& tsu) const;

    /// Of the archive that remembers the steps.
    [[nodiscard]] const std::string& archive_id() const { return archive_.id(); }

    /// An admitted TSU that nobody has looked at for longer than `within`, and the line that says so.
    struct Overdue {
        std::string tsu;
        std::string text;
    };
    [[nodiscard]] std::vector<Overdue> overdue(nanoseconds within) const;

    /// The TSU says that the key of this certificate (SHA-256) is compromised: nothing is issued for it any
    /// more, and what was about to leave has left. Durable on return. Event "tsu.compromised" about the TSU;
    /// text: the TSU's; fields certificate (hex SHA-256). False: that was known. Error (no): it isn't one of
    /// this TSU's that is known here.
    Result<bool> compromised(const std::string& tsu, View certificate_sha256, const std::string& text);

    /// Why nothing leaves for this TSU; nothing: it is served. `audited`: SHA-256 of the certificate that a
    /// TAC is asked for; empty: it isn't about one.
    [[nodiscard]] std::optional<std::string> refusal(const std::string& tsu, View audited = {}) const;
    /// While it is held no step about this TSU is taken: from the last look at refusal() until what is sent
    /// has been answered.
    [[nodiscard]] std::unique_lock<std::mutex> hold(const std::string& tsu) const;

  private:
    struct Row {
        Admission admission;
        const AuditedTsu* configured = nullptr;
        std::optional<pki::Certificate> successor;  ///< of the configured certificate
        mutable std::mutex leaving;
    };
    Admissions(store::Archive& archive, const WallClock& wall, std::vector<AuditedTsu> tsus)
        : archive_(archive), wall_(wall), tsus_(std::move(tsus)) {}
    [[nodiscard]] const Row* find(const std::string& tsu) const;
    Done describe(const AuditedTsu& tsu, const Admission& admission, Step step, store::Event& event,
                  std::vector<store::Blob>& blobs) const;

    store::Archive& archive_;
    const WallClock& wall_;
    const std::vector<AuditedTsu> tsus_;
    mutable std::mutex mutex_;         // guards what is in the rows but `leaving`; taken after that one
    std::map<std::string, Row> rows_;  // fixed once open
};

}  // namespace kokuin::taa
