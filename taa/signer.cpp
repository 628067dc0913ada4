#include "taa/signer.h"

#include <utility>

#include "hsm/commands.h"
#include "pki/public_key.h"

namespace kokuin::taa {
namespace {

bool same_key(View spki, const pki::Certificate& certificate) {
    const auto a = pki::PublicKey::from_spki(spki);
    const auto b = pki::PublicKey::from_certificate(certificate);
    return a && b && a->modulus() == b->modulus() && a->exponent() == b->exponent();
}

}  // namespace

Signer::Signer(hsm::Settings settings, std::string key, pki::Certificate certificate)
    : settings_(std::move(settings)), label_(std::move(key)), certificate_(std::move(certificate)) {}

Done Signer::open() {
    const std::lock_guard lock(mutex_);
    return open_locked();
}

Done Signer::open_locked() {
    if (token_) return {};
    if (refused_) return *refused_;
    const auto refuse = [this](Error error) -> Done {
        refused_ = std::move(error);
        return *refused_;
    };
    auto token = hsm::open_token(settings_);
    if (!token) {
        if (token.error().kind == Error::Kind::environment) return std::move(token).error();
        return refuse(std::move(token).error());
    }
    // Nobody can look into a locked token: the key is looked for when it opens.
    auto key = (*token)->locked() ? (*token)->expect_key(label_, certificate_.spki())
                                  : (*token)->find_key(label_, hsm::KeyAlgorithm::rsa);
    if (!key) {
        if (key.error().kind != Error::Kind::no) return std::move(key).error();
        return refuse(Error::usage(key.error().text + "; make it with: taad key generate " + label_));
    }
    if (!same_key(key->spki(), certificate_))
        return refuse(Error::usage("the key '" + label_ + "' in the HSM isn't the one of " +
                                   certificate_.subject_text() + "; see [taa] key and certificate"));
    found_ = std::move(*key);
    token_ = std::move(*token);
    return {};
}

hsm::Token* Signer::token() {
    const std::lock_guard lock(mutex_);
    return token_.get();
}

Done Signer::unlock(const Secret& pin) {
    auto* const opened = token();
    if (!opened) return Error::environment("the HSM can't be reached");
    if (auto done = opened->unlock(Secret(pin.view())); !done) return done;
    const auto as_environment = [](const Error& error) { return Error::environment(error.text); };
    const auto key = opened->find_key(label_, hsm::KeyAlgorithm::rsa);
    if (!key) return as_environment(key.error());
    if (!same_key(key->spki(), certificate_))
        return Error::environment("the key '" + label_ + "' in the HSM isn't the one of " +
                                  certificate_.subject_text());
    auto stored = opened->store_certificate(key->label(), key->id(), certificate_.der());
    return stored ? Done() : Done(as_environment(stored.error()));
}

Result<Bytes> Signer::sign(pki::Hash hash, View message) {
    hsm::Token* token = nullptr;
    std::optional<hsm::Key> key;
    {
        const std::lock_guard lock(mutex_);
        if (auto done = open_locked(); !done) return std::move(done).error();
        token = token_.get();
        key = found_;
    }
    // It stays: once opened, the token is never let go before this object.
    return token->sign(*key, hash, message);
}

}  // namespace kokuin::taa
