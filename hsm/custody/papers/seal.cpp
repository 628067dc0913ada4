#include "hsm/custody/papers/seal.h"

#include <botan/aead.h>
#include <botan/auto_rng.h>
#include <botan/curve25519.h>
#include <botan/ed25519.h>
#include <botan/kdf.h>
#include <botan/pubkey.h>
#include <botan/pwdhash.h>
#include <botan/tss.h>

#include <cstring>
#include <memory>

#include "pki/hash.h"

namespace kokuin::hsm::custody {
namespace {

using Botan::secure_vector;

constexpr std::uint32_t memory_kib = 64U << 10U;
constexpr std::uint32_t passes = 3;
constexpr std::uint32_t lanes = 4;
constexpr std::uint32_t most_memory_kib = 1U << 20U;
constexpr std::uint32_t most_passes = 16;
constexpr std::uint32_t most_lanes = 64;
constexpr std::size_t key_octets = 32;
constexpr std::size_t nonce_octets = 12;

View view(const secure_vector<std::uint8_t>& octets) {
    return {octets.data(), octets.size()};
}

/// HKDF-SHA-256 without salt, 32 octets.
secure_vector<std::uint8_t> derive(View secret, std::string_view label,
                                   std::initializer_list<View> more = {}) {
    Bytes info(label.begin(), label.end());
    for (const auto& one : more) append(info, one);
    secure_vector<std::uint8_t> key(key_octets);
    Botan::KDF::create_or_throw("HKDF(SHA-256)")
        ->kdf(key.data(), key.size(), secret.data(), secret.size(), nullptr, 0, info.data(), info.size());
    return key;
}

Botan::Ed25519_PrivateKey signing_key(View seed) {
    return Botan::Ed25519_PrivateKey(derive(seed, "kokuin custodian signing 1"));
}
Botan::Curve25519_PrivateKey sealing_key(View seed) {
    return Botan::Curve25519_PrivateKey(derive(seed, "kokuin custodian sealing 1"));
}

Bytes encrypt(const secure_vector<std::uint8_t>& key, View nonce, View plain, View context) {
    auto cipher = Botan::AEAD_Mode::create_or_throw("AES-256/GCM", Botan::ENCRYPTION);
    cipher->set_key(key);
    cipher->set_associated_data(context.data(), context.size());
    cipher->start(nonce.data(), nonce.size());
    secure_vector<std::uint8_t> text(plain.begin(), plain.end());
    cipher->finish(text);
    return Bytes(text.begin(), text.end());
}

/// Nothing if the tag says no.
std::optional<Secret> decrypt(const secure_vector<std::uint8_t>& key, View nonce, View sealed, View context) {
    auto cipher = Botan::AEAD_Mode::create_or_throw("AES-256/GCM", Botan::DECRYPTION);
    if (sealed.size() < cipher->minimum_final_size()) return std::nullopt;
    cipher->set_key(key);
    cipher->set_associated_data(context.data(), context.size());
    cipher->start(nonce.data(), nonce.size());
    secure_vector<std::uint8_t> text(sealed.begin(), sealed.end());
    try {
        cipher->finish(text);
    } catch (const Botan::Integrity_Failure&) {
        return std::nullopt;
    }
    return Secret(view(text));
}

secure_vector<std::uint8_t> stretched(const Locked& locked, View passphrase) {
    const auto hash = Botan::PasswordHashFamily::create_or_throw("Argon2id")
                          ->from_params(locked.memory_kib, locked.passes, locked.lanes);
    secure_vector<std::uint8_t> key(key_octets);
    // Botan takes the passphrase as char*.
    hash->derive_key(key.data(), key.size(), reinterpret_cast<const char*>(passphrase.data()),
                     passphrase.size(), locked.salt.data(), locked.salt.size());
    return key;
}

const Bytes no_nonce(nonce_octets);

}  // namespace

PublicKeys public_keys(View seed) {
    return {signing_key(seed).get_public_key(), sealing_key(seed).public_value()};
}

std::string fingerprint(const PublicKeys& keys) {
    auto both = keys.signing;
    both.insert(both.end(), keys.sealing.begin(), keys.sealing.end());
    auto digest = pki::digest(pki::Hash::sha256, both);
    digest.resize(16);
    return to_hex(digest);
}

Bytes sign(View seed, View message) {
    Botan::AutoSeeded_RNG rng;
    const auto key = signing_key(seed);
    Botan::PK_Signer signer(key, rng, "Pure");
    return signer.sign_message(message.data(), message.size(), rng);
}

bool verify(View key, View message, View signature) {
    if (key.size() != key_octets) return false;
    const Botan::Ed25519_PublicKey parsed(key.data(), key.size());
    Botan::PK_Verifier verifier(parsed, "Pure");
    return verifier.verify_message(message.data(), message.size(), signature.data(), signature.size());
}

Box seal_for(View receiver, View plain, View context) {
    Botan::AutoSeeded_RNG rng;
    const Botan::Curve25519_PrivateKey ephemeral(rng);
    const auto own = ephemeral.public_value();
    const auto agreed = ephemeral.agree(receiver.data(), receiver.size());
    const auto key = derive(view(agreed), "kokuin box 1", {own, receiver});
    return {own, encrypt(key, no_nonce, plain, context)};
}

Result<Secret> open_box(View seed, const Box& box, View context) {
    const auto refused = [] { return Error::no("isn't sealed for this key, or was changed"); };
    if (box.ephemeral.size() != key_octets) return refused();
    const auto own = sealing_key(seed);
    secure_vector<std::uint8_t> agreed;
    try {
        agreed = own.agree(box.ephemeral.data(), box.ephemeral.size());
    } catch (const Botan::Exception&) {  // a point that agrees with nobody
        return refused();
    }
    const auto key = derive(view(agreed), "kokuin box 1", {box.ephemeral, own.public_value()});
    auto plain = decrypt(key, no_nonce, box.sealed, context);
    if (!plain) return refused();
    return std::move(*plain);
}

Secret random_secret(std::size_t count) {
    Botan::AutoSeeded_RNG rng;
    const auto octets = rng.random_vec(count);
    return Secret(view(octets));
}

Letterbox::Letterbox() : seed_(random_secret(seed_octets)), public_(public_keys(seed_.view())) {}

Locked lock(View secret, View passphrase, View context) {
    Locked locked{memory_kib, passes, lanes, random_octets(16), random_octets(nonce_octets), {}};
    locked.sealed = encrypt(stretched(locked, passphrase), locked.nonce, secret, context);
    return locked;
}

Result<Secret> unlock(const Locked& locked, View passphrase, View context) {
    if (locked.memory_kib > most_memory_kib || locked.passes > most_passes || locked.lanes > most_lanes)
        return Error::usage("asks for more memory or time than a passphrase ever needs; it was changed");
    if (locked.memory_kib < memory_kib || locked.passes < passes || locked.lanes < 1 ||
        locked.salt.size() < 16 || locked.nonce.size() != nonce_octets)
        return Error::usage("is protected less than it was made; it was changed");
    auto plain = decrypt(stretched(locked, passphrase), locked.nonce, locked.sealed, context);
    if (!plain) return Error::no("the passphrase is wrong");
    return std::move(*plain);
}

std::vector<Secret> split(View secret, unsigned threshold, unsigned count) {
    Botan::AutoSeeded_RNG rng;
    const auto identifier = random_octets(16);
    std::vector<Secret> shares;
    for (const auto& share : Botan::RTSS_Share::split(
             static_cast<std::uint8_t>(threshold), static_cast<std::uint8_t>(count), secret.data(),
             static_cast<std::uint16_t>(secret.size()), identifier, "SHA-256", rng))
        shares.emplace_back(view(share.data()));
    return shares;
}

Result<Secret> combine(const std::vector<View>& octets) {
    try {
        std::vector<Botan::RTSS_Share> shares;
        shares.reserve(octets.size());
        for (const auto& one : octets) shares.emplace_back(one.data(), one.size());
        const auto secret = Botan::RTSS_Share::reconstruct(shares);
        return Secret(view(secret));
    } catch (const Botan::Exception&) {
        // Which of them, and what else, Botan's text may say; it goes nowhere.
        return Error::no(
            "these shares don't make the secret: too few, twice the same, or of different ceremonies");
    }
}

Secret join(View first, View second) {
    secure_vector<std::uint8_t> both;
    for (const auto& one : {first, second}) {
        both.push_back(static_cast<std::uint8_t>(one.size() >> 8U));
        both.push_back(static_cast<std::uint8_t>(one.size()));
        both.insert(both.end(), one.begin(), one.end());
    }
    return Secret(view(both));
}

Result<std::pair<Secret, Secret>> part(View joined) {
    const auto take = [&joined]() -> std::optional<View> {
        if (joined.size() < 2) return std::nullopt;
        const std::size_t length = (static_cast<std::size_t>(joined[0]) << 8U) | joined[1];
        if (joined.size() - 2 < length) return std::nullopt;
        const auto one = joined.subspan(2, length);
        joined = joined.subspan(2 + length);
        return one;
    };
    const auto first = take();
    const auto second = first ? take() : std::nullopt;
    if (!second || !joined.empty()) return Error::no("isn't a pair of shares");
    return std::pair(Secret(*first), Secret(*second));
}

Secret draw_pin() {
    static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz234567";
    auto drawn = random_secret(26);
    secure_vector<std::uint8_t> pin;
    for (const auto octet : drawn.view())
        pin.push_back(static_cast<std::uint8_t>(letters[octet % letters.size()]));
    return Secret(view(pin));
}

}  // namespace kokuin::hsm::custody
