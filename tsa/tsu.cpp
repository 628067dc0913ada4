#include "tsa/tsu.h"

#include <spdlog/spdlog.h>

#include "pki/path.h"
#include "tsa/key_life.h"
#include "tsa/serial.h"
#include "tsa/stretches.h"

namespace kokuin::tsa {

Tsu::Tsu(TsuSettings settings, hsm::Token& token, hsm::Key key, WallTime until, pki::Certificate certificate,
         std::vector<pki::Certificate> chain, std::vector<pki::Certificate> path,
         std::unique_ptr<pki::CrlFiles> crls, pki::PublicKey public_key)
    : settings_(std::move(settings)),
      token_(token),
      key_(std::move(key)),
      signs_until_(until),
      certificate_(std::move(certificate)),
      chain_(std::move(chain)),
      path_(std::move(path)),
      crls_(std::move(crls)),
      public_key_(std::move(public_key)),
      certificate_blob_(Bytes(certificate_.der().begin(), certificate_.der().end())),
      // The certificate holds until the end of the second it names (RFC 5280 4.1.2.5).
      gate_(tac::KeyPeriod{certificate_.not_before(), until}) {}

Result<std::unique_ptr<Tsu>> Tsu::load(const TsuSettings& settings, const TsuKey& own, hsm::Token& token,
                                       WallTime now) {
    auto chain = pki::load_certificates(settings.chain);
    if (!chain) return std::move(chain).error();
    const auto& certificate = own.certificate;
    auto key = pki::PublicKey::from_certificate(certificate);
    if (!key) return std::move(key).error().in(own.where);
    if (key->bits() < 2048)
        return Error::usage(own.where + ": an RSA key of " + std::to_string(key->bits()) +
                            " bits; a TSU needs 2048 or more (TSA-3)");
    if (!certificate.is_time_stamping_only())
        return Error::usage(
            own.where +
            ": its extended key usage must be timeStamping alone and critical (RFC 3161 2.3); have it "
            "issued again");
    std::vector<pki::Certificate> anchors;
    for (const auto& one : *chain)
        if (one.is_self_issued()) anchors.push_back(one);
    if (anchors.empty())
        return Error::usage(settings.chain +
                            ": holds no root; put the whole chain above the TSU's certificate here");
    auto path = pki::validate_path(certificate, *chain, anchors, now);
    if (!path) {
        // A certificate that ended, or a wrong clock, closes the gate; it doesn't keep the server from
        // starting.
        path = pki::validate_path(certificate, *chain, anchors, certificate.not_after());
        if (!path)
            return Error::usage(own.where + ": " + path.error().text + " (chain: " + settings.chain + ")");
    }
    // Nobody can look into a locked token: the key is looked for when it opens.
    auto in_token = !token.available() || own.idle ? token.expect_key(own.label, certificate.spki())
                                                   : token.find_key(own.label, hsm::KeyAlgorithm::rsa);
    if (!in_token) {
        if (in_token.error().kind != Error::Kind::no) return std::move(in_token).error();
        return Error::usage(in_token.error().text + "; make it with: tsactl key generate " + own.label);
    }
    const auto same = pki::PublicKey::from_spki(in_token->spki());
    if (!same || same->modulus() != key->modulus() || same->exponent() != key->exponent())
        return Error::usage(own.where + ": isn't for the key '" + own.label + "' in the HSM; see [tsu." +
                            settings.name + "] key and certificate");
    std::unique_ptr<pki::CrlFiles> crls;
    if (!settings.crls.empty()) {
        auto read = pki::CrlFiles::open(settings.crls);
        if (!read) return std::move(read).error().in("[tsu." + settings.name + "] crls");
        crls = std::move(*read);
    }
    auto made = std::unique_ptr<Tsu>(new Tsu(
        settings, token, std::move(*in_token), tsa::signs_until(own.activated, certificate.not_after()),
        certificate, std::move(*chain), std::move(*path), std::move(crls), std::move(*key)));
    if (own.idle) {
        made->idle_ = true;
        made->gate_.suspend(*own.idle);
    }
    return made;
}

void Tsu::signed_well(const std::string& failure) {
    if (failure.empty()) {
        if (failing_ && failing_.exchange(false)) spdlog::info("tsu={} text=\"signs again\"", name());
        return;
    }
    ++failures_;
    if (!failing_.exchange(true))
        spdlog::error("tsu={} text=\"makes no token: {}; another TSU signs instead, where there is one\"",
                      name(), failure);
}

std::optional<std::string> Tsu::uncovered() const {
    return crls_ ? pki::find_uncovered(path_, *crls_->current()) : std::nullopt;
}

std::optional<std::string> Tsu::revoked() const {
    return crls_ ? pki::find_revoked(path_, *crls_->current()) : std::nullopt;
}

Result<std::shared_ptr<const Form>> Tsu::form(const tsp::Policy& policy, bool cert_req,
                                              const std::shared_ptr<const tac::AcceptedTac>& tac) {
    const auto key = std::make_pair(&policy, cert_req);
    const std::lock_guard lock(forms_mutex_);
    if (forms_tac_ != tac) {
        forms_.clear();
        forms_tac_ = tac;
    }
    if (const auto found = forms_.find(key); found != forms_.end()) return found->second;

    tsp::TokenOptions options{certificate_, {}, policy.ess, policy.embed_tac, {}};
    if (settings_.include_chain)
        for (const auto& one : chain_)
            if (!one.is_self_issued()) options.chain.push_back(one);
    if (policy.embed_tac != tsp::EmbedTac::none) {
        if (!tac) return Error::environment("policy " + policy.name + " embeds a TAC, and there is none");
        options.tac = tac->value.der;
    }
    auto profile = tsp::TokenProfile::create(options, cert_req);
    if (!profile) return std::move(profile).error();

    tsp::TstInfo like;
    like.policy = policy.oid;
    like.hash_oid = std::string(pki::oid(policy.hashes.front()));
    like.imprint = Bytes(pki::length(policy.hashes.front()));
    like.gentime_digits = policy.gentime_digits;
    like.accuracy = policy.accuracy;
    like.tsa = certificate_.subject_der();
    auto blobs = constant_stretches(*profile, like);
    blobs.push_back(certificate_blob_);
    if (tac) blobs.emplace_back(tac->value.der);
    auto form =
        std::make_shared<const Form>(Form{std::move(*profile), std::move(blobs), std::make_shared<Heads>()});
    forms_.emplace(key, form);
    return std::shared_ptr<const Form>(form);
}

bool Tsu::set_notice(std::optional<std::string> notice) {
    const std::lock_guard lock(notice_mutex_);
    const bool is_new = notice != notice_;
    notice_ = std::move(notice);
    return is_new;
}

std::optional<std::string> Tsu::notice() const {
    const std::lock_guard lock(notice_mutex_);
    return notice_;
}

store::Blob Tsu::basis_blob(const std::shared_ptr<const tac::clock::Basis>& basis) {
    const std::lock_guard lock(forms_mutex_);
    if (basis_ != basis) {
        basis_blob_.emplace(basis->encode());
        basis_ = basis;
    }
    return *basis_blob_;
}

tac::Demand demand_of(const tsp::Policy& policy) {
    return {policy.accuracy, policy.gentime_digits, policy.require_tac, policy.require_reference};
}

}  // namespace kokuin::tsa
