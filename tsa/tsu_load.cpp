#include "tsa/tsu_load.h"

#include <spdlog/spdlog.h>

namespace kokuin::tsa {
namespace {

/// Of the archive.
Result<std::unique_ptr<Tsu>> load_active(const TsuSettings& settings, const KeyLife& life,
                                         const KeyEntry& active, const TokenOf& token_of, WallTime now) {
    auto certificates = life.certificates(active);
    if (!certificates) return std::move(certificates).error();
    const auto token = token_of(&active);
    if (!token) return Error{token.error()}.in("tsu " + settings.name + ", key " + active.label);
    return Tsu::load(settings,
                     {active.label, certificates->first, "the certificate of the key '" + active.label + "'",
                      active.activated.value_or(certificates->first.not_before())},
                     **token, now);
}

}  // namespace

Result<std::unique_ptr<Tsu>> load_tsu(const TsuSettings& settings, KeyLife& life, const TokenOf& token_of,
                                      WallTime now) {
    const auto active = life.active(settings.name);
    const auto named = life.find(settings.key);
    const bool over = named && (named->state == KeyState::retired || named->state == KeyState::destroyed);
    if (!active && over) {
        // No key signs for it. The server starts all the same: the others go on, and a successor can be made.
        auto certificates = life.certificates(*named);
        if (!certificates) return std::move(certificates).error();
        const auto why = "its key '" + settings.key + "' is " + std::string(name(named->state)) +
                         " and no other has taken over";
        spdlog::error(
            "tsu={} text=\"signs nothing: {}; have a successor certified, then: tsactl key rotate\"",
            settings.name, why);
        // It needn't be there any more, nor its token.
        auto token = token_of(&*named);
        if (!token) token = token_of(nullptr);
        if (!token) return token.error();
        return Tsu::load(
            settings,
            {settings.key, certificates->first, "the certificate of the key '" + settings.key + "'",
             named->activated.value_or(certificates->first.not_before()), why},
            **token, now);
    }
    if (active && over) {
        spdlog::info("tsu={} key={} text=\"the configuration names the key {}, which is {}\"", settings.name,
                     active->label, settings.key, name(named->state));
        return load_active(settings, life, *active, token_of, now);
    }
    auto certificates = pki::load_certificates(settings.certificate);
    if (!certificates) return std::move(certificates).error();
    const auto& certificate = certificates->front();
    const bool other_key =
        named && named->spki_sha256 != to_hex(pki::digest(pki::Hash::sha256, certificate.spki()));
    if (active && active->label != settings.key && other_key) {
        // Its label was given again after its first key was destroyed; the configuration is older than that.
        spdlog::warn(
            "tsu={} key={} text=\"the configuration's certificate isn't for the key {} of the records\"",
            settings.name, active->label, settings.key);
        return load_active(settings, life, *active, token_of, now);
    }
    if (active && active->label == settings.key && active->certificate_sha256 == to_hex(certificate.sha256()))
        return load_active(settings, life, *active, token_of, now);
    // Judged before anything is recorded.
    const bool from_records = named && named->state != KeyState::destroyed;
    const auto token = token_of(from_records ? &*named : nullptr);
    if (!token) return Error{token.error()}.in("[tsu." + settings.name + "] key " + settings.key);
    const auto since = named && named->activated ? *named->activated
                       : from_records            ? now
                                                 : certificate.not_before();
    auto tsu = Tsu::load(settings, {settings.key, certificate, settings.certificate, since}, **token, now);
    if (!tsu) return tsu;
    if (auto done = life.adopt(settings.key, settings.name, certificate, (*tsu)->chain(), (*token)->name());
        !done)
        return std::move(done).error();
    return tsu;
}

}  // namespace kokuin::tsa
