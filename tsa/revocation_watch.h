// Asks the CAs, in the background, whether certificates that this server rests on are revoked (TAC-1, KEY-7,
// TAA-12, CA-6): OCSP where there is a responder, CRLs where there is none or it has no good answer.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/net/client.h"
#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "pki/certificate.h"
#include "pki/revocation.h"
#include "tac/clock/reading.h"
#include "tsa/revocation_answer.h"
#include "tsa/revocation_settings.h"

namespace kokuin::tsa {

/// One HTTP exchange; `call.path` is the URL's. The watch calls it from one thread, its own.
using Fetch = std::function<Result<net::Response>(const net::Url& url, const net::Call& call)>;
/// Over base/net: a connection for each, `timeout` for all of it, answers of up to 16 MiB.
Fetch fetch_over_http(nanoseconds timeout);

/// What is known of a path now.
struct PathRevocation {
    /// A certificate of which nobody knows whether it is revoked.
    struct Unknown {
        pki::Certificate certificate;
        std::string text;
        bool asked = false;  ///< false: the first answer is still on its way
    };
    std::optional<std::string> revoked;  ///< why the path is revoked
    std::vector<Unknown> unknown;
    std::optional<std::string> closed;  ///< why nothing may rest on it now, though nothing is revoked
    std::optional<WallTime> closes_at;  ///< when that will be, if no answer comes and it isn't yet
};

/// Thread-safe but for start(), stop() and tick(), which are one thread's. Whoever asks about a path has its
/// certificates looked after from then on, until nobody has asked for a day. Asking never waits for the
/// network; the first time it reads what the cache holds.
class RevocationWatch {
  public:
    /// Makes the cache's folder and reads the CAs' certificates that `settings` names; the error names the
    /// file. `clock` must outlive it.
    static Result<std::unique_ptr<RevocationWatch>> make(RevocationSettings settings,
                                                         const tac::clock::StampingClock& clock, Fetch fetch);
    ~RevocationWatch() { stop(); }
    RevocationWatch(const RevocationWatch&) = delete;
    RevocationWatch& operator=(const RevocationWatch&) = delete;

    /// Fetches on a thread of its own until stop(), which waits for a request that runs: up to `timeout`.
    void start() { ticker_.start(); }
    void stop();
    /// Fetches what is due now.
    void tick();

    /// `path`: from a certificate to its anchor, which is trusted as it is. `files`: CRLs that somebody keeps
    /// as files; they count too. Null: none.
    [[nodiscard]] PathRevocation judge(const std::vector<pki::Certificate>& path, const pki::Crls* files);

    /// What status shows of one certificate.
    struct Seen {
        std::string certificate, issuer;  ///< names
        std::string sha256;               ///< of the certificate, hex
        std::string state;                ///< "good", "revoked", "unknown": by what was fetched
        std::string source;               ///< "ocsp", "crl", or empty
        std::optional<WallTime> this_update, until;
        std::string trouble;  ///< why the last attempt brought nothing; empty: it did, or none was made
    };
    [[nodiscard]] std::vector<Seen> snapshot() const;
    [[nodiscard]] const RevocationSettings& settings() const { return settings_; }

  private:
    struct Source {
        pki::Certificate issuer;
        std::string ocsp, crl;
    };
    /// One certificate. What may be read by others is changed under the lock only.
    struct Entry {
        pki::Certificate certificate, issuer;
        std::vector<net::Url> ocsp{}, crls{};
        /// The newest believed ones; an older one never replaces them. One each: what OCSP calls revoked no
        /// CRL makes good, nor the other way round.
        std::optional<RevocationAnswer> by_ocsp{}, by_crl{};
        MonoTime since{};  ///< first asked about
        MonoTime asked{};  ///< last asked about
        MonoTime due{};
        nanoseconds back_off{};
        bool tried = false;
        std::string trouble{};
    };
    using Slot = std::optional<RevocationAnswer> Entry::*;
    /// Answers of one tick(), by URL: a CRL is fetched once for all that it is about.
    using Fetched = std::map<std::string, Result<Bytes>>;

    RevocationWatch(RevocationSettings settings, const tac::clock::StampingClock& clock, Fetch fetch)
        : settings_(std::move(settings)), clock_(clock), fetch_(std::move(fetch)) {}

    std::shared_ptr<Entry> entry_of(const pki::Certificate& certificate, const pki::Certificate& issuer,
                                    const tac::clock::Reading& now);
    std::shared_ptr<Entry> make_entry(const pki::Certificate& certificate, const pki::Certificate& issuer,
                                      const tac::clock::Reading& now) const;
    [[nodiscard]] std::string file_of(const Entry& entry, Slot slot) const;
    [[nodiscard]] AnswerRules rules(bool kept) const;
    [[nodiscard]] nanoseconds first_back_off() const;

    void look_at(Entry& entry, Fetched& fetched);
    /// Empty: a believed answer came. Else why not.
    std::string ask_ocsp(Entry& entry, Fetched& fetched);
    std::string ask_crl(Entry& entry, Fetched& fetched);
    /// Empty: taken, and kept in the cache if it is another one than before. Otherwise why it isn't, or that
    /// it has ended.
    std::string take(Entry& entry, Slot slot, RevocationAnswer answer);
    Result<Bytes> get(const net::Url& url, net::Call call, std::string_view key, Fetched& fetched) const;
    void settle(Entry& entry, const std::string& trouble);

    const RevocationSettings settings_;
    const tac::clock::StampingClock& clock_;
    const Fetch fetch_;
    std::vector<Source> sources_;

    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Entry>> entries_;  // digests of certificate and issuer → entry
    std::atomic<bool> stopping_{false};
    Ticker ticker_{milliseconds(200), [this] { tick(); }};
};

/// The same where there may be no watch: then the files alone speak, and nothing is ever closed for want of
/// an answer. Both null: nobody knows anything.
PathRevocation judge_revocation(RevocationWatch* watch, const std::vector<pki::Certificate>& path,
                                pki::CrlFiles* files);

}  // namespace kokuin::tsa
