// One time-stamping unit at run time: key, certificate, gate, and what its tokens have in common.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hsm/token.h"
#include "pki/certificate.h"
#include "pki/public_key.h"
#include "pki/revocation.h"
#include "store/blob.h"
#include "tac/gate.h"
#include "tsa/config.h"
#include "tsa/protocol/policy.h"
#include "tsa/protocol/token.h"
#include "tsa/stretches.h"

namespace kokuin::tsa {

/// How to write tokens of one TSU under one policy, with one TAC and one certReq, and what the archive keeps
/// once.
struct Form {
    tsp::TokenProfile profile;
    std::vector<store::Blob> blobs;  ///< what a record of such a token can name, but for its head
    std::shared_ptr<Heads> heads;
};

/// The key a TSU signs with, and since when.
struct TsuKey {
    std::string label;  ///< in the token
    pki::Certificate certificate;
    std::string where;     ///< where the certificate comes from, for errors
    WallTime activated{};  ///< KEY-4 counts from here
    /// Why it signs nothing; then it needn't be in the token any more. Nothing: it signs.
    std::optional<std::string> idle{};
};

/// What of a TSU stays the same while it runs, and its gate. Thread-safe.
class Tsu {
  public:
    /// Reads the chain and judges it and the certificate: one RSA-2048 key (TSA-3), the sole critical
    /// extended key usage timeStamping (RFC 3161 2.3), a valid path to the root in the chain file now. The
    /// error names the file. `token` must outlive it; one that can't be asked now has its key looked for when
    /// it opens.
    static Result<std::unique_ptr<Tsu>> load(const TsuSettings& settings, const TsuKey& key,
                                             hsm::Token& token, WallTime now);

    [[nodiscard]] const std::string& name() const { return settings_.name; }
    /// Its key in the HSM, and the token that has it.
    [[nodiscard]] const hsm::Key& key() const { return key_; }
    [[nodiscard]] hsm::Token& token() const { return token_; }
    [[nodiscard]] const pki::Certificate& certificate() const { return certificate_; }
    [[nodiscard]] const pki::PublicKey& public_key() const { return public_key_; }
    /// Its certificate's blob in the archive.
    [[nodiscard]] const store::Blob& certificate_blob() const { return certificate_blob_; }
    [[nodiscard]] const std::vector<pki::Certificate>& chain() const { return chain_; }
    /// From its certificate to the root in its chain.
    [[nodiscard]] const std::vector<pki::Certificate>& path() const { return path_; }
    /// True if its key signs nothing any more, and no other has taken over: its gate is closed.
    [[nodiscard]] bool idle() const { return idle_; }
    /// The last moment at which its key may sign (KEY-4).
    [[nodiscard]] WallTime signs_until() const { return signs_until_; }
    /// The CRLs that its certificate is looked for in; null: nobody keeps any.
    [[nodiscard]] pki::CrlFiles* crls() const { return crls_.get(); }
    /// The certificate of its path that none of the CRLs is about; nothing: all are covered, or there are no
    /// CRLs.
    [[nodiscard]] std::optional<std::string> uncovered() const;
    /// Why it counts as revoked now, by its CRLs; nothing: it doesn't.
    [[nodiscard]] std::optional<std::string> revoked() const;
    [[nodiscard]] tac::Gate& gate() { return gate_; }
    [[nodiscard]] const tac::Gate& gate() const { return gate_; }
    /// A token that is being made: from before the gate is asked until the token has left, or won't. Counts
    /// itself, and keeps the TSU alive. Not copyable: it would be counted twice.
    class Work {
      public:
        explicit Work(std::shared_ptr<Tsu> tsu) : tsu_(std::move(tsu)) { ++tsu_->signing_; }
        Work(Work&& other) noexcept = default;
        Work& operator=(Work&&) = delete;
        ~Work() {
            if (tsu_) --tsu_->signing_;
        }
        [[nodiscard]] Tsu& tsu() const { return *tsu_; }
        /// Keeps the TSU alive beyond this.
        [[nodiscard]] std::shared_ptr<Tsu> keep() const { return tsu_; }

      private:
        std::shared_ptr<Tsu> tsu_;
    };
    /// Told after each attempt to make a token, why it failed ("": it didn't). The log has the first of a
    /// row, and its end.
    void signed_well(const std::string& failure);
    /// Attempts that failed since start; others may have signed instead.
    [[nodiscard]] std::uint64_t failures() const { return failures_; }
    /// How many there are now. Once the gate is closed they can only become fewer that will leave.
    [[nodiscard]] unsigned signing() const { return signing_; }
    /// Held while a delivered TAC is judged, archived and given to the gate: one after the other.
    [[nodiscard]] std::mutex& delivery() { return delivery_; }

    /// The form of a token under `policy`, resting on `tac` (null: none). Made at the first call for each
    /// TAC, then found in a table. The error says why such a token can't be written.
    Result<std::shared_ptr<const Form>> form(const tsp::Policy& policy, bool cert_req,
                                             const std::shared_ptr<const tac::AcceptedTac>& tac);

    /// What the TAA last gave notice of ("clock-unproved"), until a TAC comes. True if that is new.
    bool set_notice(std::optional<std::string> notice);
    [[nodiscard]] std::optional<std::string> notice() const;

    /// What the archive keeps of what a bound was computed from. Made once for each basis.
    store::Blob basis_blob(const std::shared_ptr<const tac::clock::Basis>& basis);

  private:
    Tsu(TsuSettings settings, hsm::Token& token, hsm::Key key, WallTime until, pki::Certificate certificate,
        std::vector<pki::Certificate> chain, std::vector<pki::Certificate> path,
        std::unique_ptr<pki::CrlFiles> crls, pki::PublicKey public_key);

    TsuSettings settings_;
    hsm::Token& token_;
    hsm::Key key_;
    WallTime signs_until_;
    bool idle_ = false;
    pki::Certificate certificate_;
    std::vector<pki::Certificate> chain_;
    std::vector<pki::Certificate> path_;  // from its certificate to the root
    std::unique_ptr<pki::CrlFiles> crls_;
    pki::PublicKey public_key_;
    store::Blob certificate_blob_;
    tac::Gate gate_;
    std::mutex delivery_;
    std::atomic<unsigned> signing_{0};
    std::atomic<std::uint64_t> failures_{0};
    std::atomic<bool> failing_{false};
    mutable std::mutex notice_mutex_;
    std::optional<std::string> notice_;

    std::mutex forms_mutex_;
    std::shared_ptr<const tac::AcceptedTac> forms_tac_;  // the TAC that forms_ were made with
    std::map<std::pair<const tsp::Policy*, bool>, std::shared_ptr<const Form>> forms_;
    std::shared_ptr<const tac::clock::Basis> basis_;  // the one that basis_blob_ is of
    std::optional<store::Blob> basis_blob_;
};

/// What a policy demands of the gate.
tac::Demand demand_of(const tsp::Policy& policy);

}  // namespace kokuin::tsa
