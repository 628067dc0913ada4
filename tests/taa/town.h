// The certificates that the tests of this room share, made once by the stock openssl: a root, a TAA, two
// TSUs, and channel certificates for the TAA, the TSU and a stranger.
#pragma once

#include <botan/auto_rng.h>
#include <botan/data_src.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>

#include <memory>
#include <mutex>
#include <string>

#include "pki/certificate.h"
#include "pki/hash.h"
#include "taa/issuer.h"
#include "tests/pki/workshop.h"

namespace town {

inline const std::string tsu_name = "tsu.audit.kokuin.example";
inline const std::string taa_name = "taa.audit.kokuin.example";

inline std::string channel_extensions(const std::string& name) {
    return "subjectAltName=DNS:" + name +
           "\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth";
}

inline const std::string taa_extensions =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";

/// root, foreign (another root) · taa, tsu, other-tsu · channel-taa, channel-tsu, channel-stranger (under
/// root, with another name), channel-foreign (the right name under the foreign root).
inline const workshop::Folder& folder() {
    static const workshop::Folder made;
    static const bool once = [] {
        made.root("root");
        made.root("foreign");
        made.issue("taa", "root", taa_extensions);
        made.issue("tsu", "root", workshop::tsu_extensions);
        made.issue("other-tsu", "root", workshop::tsu_extensions);
        made.issue("channel-taa", "root", channel_extensions(taa_name));
        made.issue("channel-tsu", "root", channel_extensions(tsu_name));
        made.issue("channel-stranger", "root", channel_extensions("stranger.example"));
        made.issue("channel-foreign", "foreign", channel_extensions(tsu_name));
        return true;
    }();
    (void)once;
    return made;
}

/// Signs with a key file, in memory: for what needs no HSM.
inline kokuin::taa::Sign software_key(const std::string& name) {
    struct Key {
        explicit Key(const std::string& path) {
            Botan::DataSource_Stream source(path);
            key = Botan::PKCS8::load_key(source);
        }
        std::mutex mutex;
        Botan::AutoSeeded_RNG rng;
        std::unique_ptr<Botan::Private_Key> key;
    };
    auto key = std::make_shared<Key>(folder().at(name + ".key"));
    return [key](kokuin::pki::Hash hash, kokuin::View message) -> kokuin::Result<kokuin::Bytes> {
        const std::lock_guard lock(key->mutex);
        const char* padding = hash == kokuin::pki::Hash::sha256 ? "EMSA3(SHA-256)" : "EMSA3(SHA-512)";
        Botan::PK_Signer signer(*key->key, key->rng, padding);
        return kokuin::Bytes(signer.sign_message(message.data(), message.size(), key->rng));
    };
}

}  // namespace town
