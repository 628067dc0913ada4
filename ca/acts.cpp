#include "ca/acts.h"

#include "hsm/custody/records.h"
#include "hsm/keytool.h"
#include "pki/path.h"
#include "pki/public_key.h"
#include "pki/tsu_certificate.h"

namespace kokuin::ca {

pki::SignFunction signer(hsm::Token& token, hsm::Key key) {
    return [&token, key = std::move(key)](pki::Hash hash, View message) -> Result<Bytes> {
        auto signature = token.sign(key, hash, message);
        if (!signature) return signature;
        const auto open_half = pki::PublicKey::from_spki(key.spki());
        if (!open_half || !open_half->verify(hash, message, *signature))
            return Error::environment("the token's signature with the key '" + key.label() +
                                      "' is wrong; nothing was issued, look at the HSM");
        return signature;
    };
}

Result<hsm::Key> key_of(hsm::Token& token, const CaSettings& ca, const pki::Certificate& certificate) {
    auto key = token.find_key(ca.key, hsm::KeyAlgorithm::rsa);
    if (!key) return key;
    if (key->spki() != certificate.spki())
        return Error::usage("the key '" + ca.key + "' of the token isn't that of the certificate of " +
                            certificate.subject_text() + "; name the right one in the configuration");
    return key;
}

Result<hsm::Key> generate_key(Books& books, hsm::Token& token, const std::string& label, unsigned bits,
                              const std::string& custodians, const Who& who) {
    auto key = hsm::keytool::generate(token, label, hsm::KeyAlgorithm::rsa, bits);
    if (!key) return key;
    auto event = hsm::custody::key_event("key.generated", label, key->spki(), who.account, custodians);
    event.text = who.why;
    event.fields["by"] = who.by;
    if (auto done = books.record(event, {}); !done) {
        (void)token.destroy_key(label, pki::digest(pki::Hash::sha256, key->spki()));
        return std::move(done).error();
    }
    return key;
}

namespace {

Done judge(const Plan& plan, const pki::Certificate& certificate, const Register& what_was, WallTime now) {
    std::vector<pki::Certificate> above;
    if (what_was.issuing()) above.push_back(what_was.issuing()->certificate);
    if (what_was.root()) above.push_back(what_was.root()->certificate);
    if (plan.profile == Profile::root) above = {certificate};
    if (plan.profile == Profile::tsu) {
        const auto path = pki::check_tsu_certificate(certificate, {}, above, now);
        return path ? Done() : Done(path.error());
    }
    const auto path = pki::validate_path(certificate, above, {above.back()}, now);
    return path ? Done() : Done(path.error());
}

}  // namespace

Result<Issued> carry_out(Books& books, hsm::Token& token, const Settings& settings, const Plan& plan,
                         const Order& order, const Who& who) {
    const auto& what_was = books.what_was();
    const bool by_root = plan.profile == Profile::root || plan.profile == Profile::issuing;
    const auto& ca = by_root ? settings.root : settings.issuing;
    const auto* issuer = by_root ? what_was.root() : what_was.issuing();
    auto key =
        issuer ? key_of(token, ca, issuer->certificate) : token.find_key(ca.key, hsm::KeyAlgorithm::rsa);
    if (!key) return std::move(key).error();
    const auto certificate =
        pki::make_certificate(plan.certificate, settings.signature, signer(token, std::move(*key)));
    if (!certificate) return certificate.error();
    if (auto done = judge(plan, *certificate, what_was, plan.certificate.not_before); !done)
        return Error::no("the certificate would not be accepted, and was not issued: " + done.error().text);

    Issued issued{*certificate,      plan.profile, serial_text(certificate->serial()),
                  books.now(),       who.why,      who.by,
                  plan.successor_of, std::nullopt};
    auto event = issued_event(issued, who.account);
    std::vector<store::Blob> blobs{store::Blob(Bytes(certificate->der().begin(), certificate->der().end()))};
    if (order.request) blobs.emplace_back(order.request->der());
    for (const auto& blob : blobs) event.blobs.push_back(blob.id());
    if (auto done = books.record(event, blobs); !done) return std::move(done).error();
    // The certificate of a CA stands beside its key too, as operators of HSMs expect; the archive has it
    // anyway.
    if (by_root) {
        const auto own =
            token.find_key(plan.profile == Profile::root ? settings.root.key : settings.issuing.key);
        if (own) (void)token.store_certificate(own->label(), own->id(), certificate->der());
    }
    return issued;
}

Result<Issued> revoke(Books& books, const std::string& serial, pki::Reason reason, const Who& who) {
    const auto* one = books.what_was().find(serial);
    if (!one) return Error::no("nothing of the serial " + serial + " was issued");
    if (one->profile == Profile::root)
        return Error::no("the root can't revoke itself: who trusts it must be told to take it away");
    if (one->revoked)
        return Error::no(serial + " was revoked on " + to_rfc3339(one->revoked->at, 0) + " (" +
                         std::string(pki::name(one->revoked->reason)) + ")");
    auto revoked = *one;
    revoked.revoked = Revocation{books.now(), reason, who.why, who.by};
    if (auto done = books.record(revoked_event(*one, *revoked.revoked, who.account), {}); !done)
        return std::move(done).error();
    return revoked;
}

}  // namespace kokuin::ca
