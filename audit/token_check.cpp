#include "audit/token_check.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "audit/clock_proof.h"
#include "audit/present.h"
#include "audit/soundness.h"
#include "pki/path.h"
#include "pki/public_key.h"
#include "tac/tac.h"
#include "tac/validate.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit {
namespace {

using store::BlobId;

/// Times, inclusive, at which something was found to be true; it is so in between.
struct Span {
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    std::int64_t last = std::numeric_limits<std::int64_t>::min();
    [[nodiscard]] bool has(std::int64_t at) const { return first <= at && at <= last; }
    void add(std::int64_t at) {
        first = std::min(first, at);
        last = std::max(last, at);
    }
};

struct Signer {
    pki::Certificate certificate;
    pki::PublicKey key;
    std::string spki_sha256;
    Span path;  // genTimes at which it leads to an anchor
};

/// A TAC for one signer.
struct Audit {
    tac::SignedTac tac;
    Bytes serial;  // as people read it: real ones are negative or zero-padded at times
    Span good;
};

}  // namespace

class TokenCheck::Impl {
  public:
    Impl(const Trust* trust, const KeyHistory& keys, Blobs blobs)
        : trust_(trust), keys_(keys), blobs_(std::move(blobs)) {
        if (!trust_) return;
        intermediates_ = trust_->certificates;
        intermediates_.insert(intermediates_.end(), keys_.certificates().begin(), keys_.certificates().end());
        rules_.anchors = trust_->taa_anchors;
        rules_.intermediates = intermediates_;
    }

    std::vector<Objection> check(const store::Record& record, const store::Issuance& issuance) {
        found_.clear();
        token_.clear();
        accuracy_us_.reset();
        // What nanoseconds since 1970 can hold.
        constexpr std::int64_t latest_us = 7'000'000'000'000'000;
        if (issuance.gen_time_us < 0 || issuance.gen_time_us > latest_us) {
            object("token", "its time is out of range");
            return std::move(found_);
        }
        Signer* signer = signer_of(issuance.certificate);
        if (rebuild(issuance) && signer) judge_token(issuance, *signer);
        if (signer) {
            judge_path(issuance, *signer);
            if (auto why =
                    keys_.objection(signer->spki_sha256, issuance.tsu, record.number, issuance.gen_time_us);
                !why.empty())
                object("key", std::move(why));
            if (issuance.tac) judge_tac(issuance, *signer);
        }
        judge_clock(record, issuance);
        return std::move(found_);
    }
    [[nodiscard]] const Bytes& token() const { return token_; }

  private:
    void object(std::string kind, std::string detail) {
        found_.push_back({std::move(kind), std::move(detail)});
    }

    /// Null: it isn't there, or isn't what its name says; that is objected to.
    const Bytes* blob(const BlobId& id) {
        auto known = content_.find(id);
        if (known == content_.end()) {
            // Records of a time share theirs; what is older isn't needed again.
            if (content_.size() > 256) content_.clear();
            auto content = blobs_(id);
            if (!content || !*content || store::blob_id(**content) != id) {
                object("blob", !content    ? content.error().text
                               : !*content ? "the blob " + to_hex(id) + " is missing"
                                           : "the blob " + to_hex(id) + " isn't what its name says");
                return nullptr;
            }
            known = content_.emplace(id, std::move(**content)).first;
        }
        return &known->second;
    }

    bool rebuild(const store::Issuance& issuance) {
        const std::size_t objections = found_.size();
        auto token = store::join(
            issuance.token,
            [this](const BlobId& id) -> std::optional<Bytes> {
                const Bytes* content = blob(id);
                return content ? std::optional(*content) : std::nullopt;
            },
            issuance.imprint, issuance.serial);
        if (!token && found_.size() == objections) object("token", token.error().text);
        if (token) token_ = std::move(*token);
        return token.ok();
    }

    Signer* signer_of(const BlobId& id) {
        if (const auto known = signers_.find(id); known != signers_.end()) return &known->second;
        const Bytes* der = blob(id);
        if (!der) return nullptr;
        auto certificate = pki::Certificate::from_der(*der);
        auto key = certificate ? pki::PublicKey::from_certificate(*certificate)
                               : Result<pki::PublicKey>(certificate.error());
        if (!key) {
            object("certificate", "the TSU's certificate can't be read: " + key.error().text);
            return nullptr;
        }
        const std::string spki = to_hex(pki::digest(pki::Hash::sha256, certificate->spki()));
        return &signers_.emplace(id, Signer{std::move(*certificate), std::move(*key), spki, {}})
                    .first->second;
    }

    void judge_token(const store::Issuance& issuance, const Signer& signer) {
        if (auto fault = token_fault(parser_, token_, issuance, signer.certificate, signer.key, accuracy_us_))
            object("token", std::move(*fault));
    }

    void judge_path(const store::Issuance& issuance, Signer& signer) {
        if (!signer.certificate.is_time_stamping_only())
            object("certificate", "it isn't for time-stamping alone (RFC 3161 2.3)");
        if (!signer.certificate.valid_at(from_unix_us(issuance.gen_time_us)))
            object("certificate", "genTime lies outside its validity");
        if (!trust_ || trust_->anchors.empty() || signer.path.has(issuance.gen_time_us)) return;
        const auto path = pki::validate_path(signer.certificate, intermediates_and_chain(), trust_->anchors,
                                             from_unix_us(issuance.gen_time_us));
        if (!path) return object("certificate", path.error().text);
        // As long as all of them hold, the path does.
        Span all{std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
        for (const auto& one : *path) {
            all.first = std::max(all.first, to_unix_us(one.not_before()));
            all.last = std::min(all.last, to_unix_us(one.not_after()));
        }
        signer.path = all;
    }

    /// The token may bring what is between its certificate and an anchor.
    std::vector<pki::Certificate> intermediates_and_chain() {
        auto all = intermediates_;
        if (const auto token = tsp::parse_token(token_))
            all.insert(all.end(), token->certificates.begin(), token->certificates.end());
        return all;
    }

    void judge_tac(const store::Issuance& issuance, const Signer& signer) {
        const std::pair key(issuance.tac->blob, issuance.certificate);
        auto known = audits_.find(key);
        if (known == audits_.end()) {
            const Bytes* der = blob(issuance.tac->blob);
            if (!der) return;
            auto decoded = tac::decode(*der);
            if (!decoded) return object("tac", "its TAC can't be read: " + decoded.error().text);
            const std::string serial = tac::serial_hex(decoded->tac.serial);
            known = audits_
                        .emplace(key, Audit{std::move(*decoded),
                                            *from_hex(serial.size() % 2 == 0 ? serial : "0" + serial),
                                            {}})
                        .first;
        }
        Audit& audit = known->second;
        if (!same_number(issuance.tac->serial, audit.serial))
            object("tac", "the record names another serial number than its TAC has");
        // At the moment that genTime was cut off from: a TAC may be younger than the second that a token
        // states.
        const std::int64_t at_us = issuance.clock ? issuance.clock->c_ns / 1000 : issuance.gen_time_us;
        if (!trust_ || trust_->taa_anchors.empty() || audit.good.has(at_us)) return;
        const auto judged = [&](std::int64_t moment_us) {
            return tac::judge_embedded(audit.tac.der, rules_, signer.certificate, from_unix_us(moment_us));
        };
        if (const auto refused = judged(at_us)) return object("tac", refused->text);
        audit.good.add(at_us);
        // It holds over an interval; the others of its time needn't be asked for one by one.
        for (const std::int64_t moment_us :
             {to_unix_us(audit.tac.tac.not_before), to_unix_us(audit.tac.tac.expiration) - 1'000'000})
            if (!judged(moment_us)) audit.good.add(moment_us);
    }

    void judge_clock(const store::Record& record, const store::Issuance& issuance) {
        if (!issuance.clock) return object("clock", "no evidence is kept of how right it was");
        // It was handed to the archive with the reading that became its genTime.
        if (record.at_us != std::chrono::floor<microseconds>(nanoseconds(issuance.clock->c_ns)).count())
            object("clock",
                   "the record is of " + time_text(record.at_us) + ", and its clock showed another time");
        if (accuracy_us_ && issuance.clock_bound_us > *accuracy_us_)
            object("clock", "it was known within " + duration_text(issuance.clock_bound_us) +
                                ", the token states " + duration_text(*accuracy_us_));
        const Bytes* basis = blob(issuance.clock->basis);
        if (!basis) return;
        if (!basis_ || basis_id_ != issuance.clock->basis) {
            auto decoded = tac::clock::Basis::decode(*basis);
            if (!decoded) return object("clock", "its evidence can't be read: " + decoded.error().text);
            basis_ = std::move(*decoded);
            basis_id_ = issuance.clock->basis;
        }
        if (auto why = clock_objection(issuance, *basis_); !why.empty()) object("clock", std::move(why));
    }

    const Trust* const trust_;
    const KeyHistory& keys_;
    const Blobs blobs_;
    std::vector<pki::Certificate> intermediates_;
    tac::Rules rules_;

    tsp::TokenParser parser_{tsp::TokenCertificates::skip};
    std::map<BlobId, Bytes> content_;
    std::map<BlobId, Signer> signers_;
    std::map<std::pair<BlobId, BlobId>, Audit> audits_;
    std::optional<tac::clock::Basis> basis_;
    BlobId basis_id_{};
    std::vector<Objection> found_;
    Bytes token_;
    std::optional<std::int64_t> accuracy_us_;  // as it states
};

TokenCheck::TokenCheck(const Trust* trust, const KeyHistory& keys, Blobs blobs)
    : impl_(std::make_unique<Impl>(trust, keys, std::move(blobs))) {}
TokenCheck::~TokenCheck() = default;

std::vector<Objection> TokenCheck::check(const store::Record& record, const store::Issuance& issuance) {
    return impl_->check(record, issuance);
}

const Bytes& TokenCheck::token() const {
    return impl_->token();
}

}  // namespace kokuin::audit
