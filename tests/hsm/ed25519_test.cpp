// Ed25519 keys: what a token has of them, and Botan's and openssl's word for what it signs.
#include <botan/ed25519.h>
#include <botan/pubkey.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <thread>

#include "pki/hash.h"
#include "tests/hsm/bare.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;

namespace {

const Bytes message = random_octets(300);

bool verifies(View spki, View text, View signature) {
    const auto point = spki.last(32);
    const Botan::Ed25519_PublicKey key(point.data(), point.size());
    Botan::PK_Verifier verifier(key, "Pure");
    return verifier.verify_message(text.data(), text.size(), signature.data(), signature.size());
}

/// A session of its own, as the user. Closed when the module is finalised.
CK_SESSION_HANDLE logged_in(Bare& p11) {
    CK_SESSION_HANDLE session = 0;
    REQUIRE(p11->C_OpenSession(p11.slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session) ==
            CKR_OK);
    std::string pin = Hsm::pin;
    REQUIRE(p11->C_Login(session, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()) ==
            CKR_OK);
    return session;
}

/// The only object of this class.
CK_OBJECT_HANDLE only(const Bare& p11, CK_SESSION_HANDLE session, CK_OBJECT_CLASS kind) {
    CK_ATTRIBUTE search{CKA_CLASS, &kind, sizeof kind};
    REQUIRE(p11->C_FindObjectsInit(session, &search, 1) == CKR_OK);
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    REQUIRE(p11->C_FindObjects(session, found.data(), found.size(), &count) == CKR_OK);
    p11->C_FindObjectsFinal(session);
    REQUIRE(count == 1);
    return found[0];
}

}  // namespace

TEST_CASE("an HSM without Ed25519 says so, and makes nothing") {
    const auto hsm = hsm_under_test();
    if (hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto refused = token->generate_ed25519("archive");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::environment);
    CHECK_THAT(refused.error().text, Contains("this HSM has no Ed25519") && !Contains("\n"));
    CHECK(token->available());
    CHECK(must(token->keys()).empty());
}

TEST_CASE("an Ed25519 key made in the token signs, and its public half verifies") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto key = must(token->generate_ed25519("archive"));
    CHECK(key.label() == "archive");
    CHECK(key.algorithm() == KeyAlgorithm::ed25519);
    CHECK(key.bits() == 255);
    CHECK(key.id().size() == 16);
    REQUIRE(key.spki().size() == 44);
    CHECK(to_hex(View(key.spki()).first(12)) == "302a300506032b6570032100");
    CHECK(algorithm_of(key.spki()) == KeyAlgorithm::ed25519);
    const auto signature = must(token->sign_ed25519(key, message));
    CHECK(signature.size() == 64);
    CHECK(verifies(key.spki(), message, signature));
    auto other = message;
    other[0] ^= 1U;
    CHECK_FALSE(verifies(key.spki(), other, signature));
    // It is deterministic (RFC 8032 5.1.6), and an empty message is a message.
    CHECK(must(token->sign_ed25519(key, message)) == signature);
    CHECK(verifies(key.spki(), {}, must(token->sign_ed25519(key, {}))));

    const auto file = [&](const char* name, View octets) {
        auto path = hsm->folder() + "/" + name;
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
        return path;
    };
    const auto judged = testing::run({"openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER",
                                      "-inkey", file("spki", key.spki()), "-in", file("message", message),
                                      "-sigfile", file("signature", signature)});
    INFO(judged.output);
    CHECK(judged.status == 0);
}

TEST_CASE("no key signs what is the other kind's") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto rsa = must(token->generate_rsa("tsu-1"));
    const auto edwards = must(token->generate_ed25519("archive"));
    CHECK(rsa.algorithm() == KeyAlgorithm::rsa);
    const auto one = token->sign(edwards, pki::Hash::sha512, message);
    REQUIRE_FALSE(one);
    CHECK(one.error().kind == Error::Kind::usage);
    CHECK_THAT(one.error().text, Contains("'archive' is an Ed25519 key, and an RSA key is needed"));
    const auto two = token->sign_ed25519(rsa, message);
    REQUIRE_FALSE(two);
    CHECK(two.error().kind == Error::Kind::usage);
    CHECK(token->available());

    // Nor is it found where the other one is wanted.
    CHECK(must(token->find_key("archive")).spki() == edwards.spki());
    CHECK(must(token->find_key(to_hex(edwards.id()), KeyAlgorithm::ed25519)).label() == "archive");
    CHECK(must(token->find_key("tsu-1", KeyAlgorithm::rsa)).spki() == rsa.spki());
    for (const auto& name : {edwards.label(), to_hex(edwards.id())}) {
        const auto wrong = token->find_key(name, KeyAlgorithm::rsa);
        REQUIRE_FALSE(wrong);
        CHECK(wrong.error().kind == Error::Kind::usage);
        CHECK_THAT(wrong.error().text, Contains(name) && Contains("Ed25519") && Contains("RSA"));
    }
    const auto none = token->find_key("nobody", KeyAlgorithm::rsa);
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == Error::Kind::no);
}

TEST_CASE("an Ed25519 key is listed, protected, and alone under its label") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    Bytes spki;
    {
        const auto token = opened(*hsm);
        spki = must(token->generate_ed25519("archive")).spki();
        CHECK_FALSE(token->generate_ed25519("archive"));
        CHECK_FALSE(token->generate_rsa("archive"));
        CHECK_FALSE(token->generate_ed25519("line\nend"));
        const auto keys = must(token->keys());
        REQUIRE(keys.size() == 1);
        CHECK(keys[0].type == "Ed25519");
        CHECK(keys[0].bits == 255);
        CHECK(keys[0].spki == spki);
        CHECK(keys[0].sensitive);
        CHECK_FALSE(keys[0].extractable);
        CHECK(keys[0].local == hsm->attributes_complete());
        CHECK(keys[0].signs);
    }
    Bare p11(*hsm);
    REQUIRE(p11.initialise() == CKR_OK);
    const auto session = logged_in(p11);
    const auto key = only(p11, session, CKO_PRIVATE_KEY);
    Bytes room(512);
    CK_ATTRIBUTE value{CKA_VALUE, room.data(), room.size()};
    CHECK(p11->C_GetAttributeValue(session, key, &value, 1) == CKR_ATTRIBUTE_SENSITIVE);
    const auto flag = [&](CK_ATTRIBUTE_TYPE type) {
        CK_BBOOL is = 0x55;
        CK_ATTRIBUTE attribute{type, &is, sizeof is};
        REQUIRE(p11->C_GetAttributeValue(session, key, &attribute, 1) == CKR_OK);
        return is;
    };
    for (const CK_ATTRIBUTE_TYPE yes :
         {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_SIGN})
        CHECK(flag(yes) == CK_TRUE);
    for (const CK_ATTRIBUTE_TYPE no :
         {CKA_EXTRACTABLE, CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE})
        CHECK(flag(no) == CK_FALSE);
}

TEST_CASE("a public half is read in whatever form its point and its curve are told") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto made = must(opened(*hsm)->generate_ed25519("archive"));
    const View point = View(made.spki()).last(32);
    const auto stored = [&](Bytes told, Bytes curve) {
        Bare p11(*hsm);
        REQUIRE(p11.initialise() == CKR_OK);
        const auto session = logged_in(p11);
        REQUIRE(p11->C_DestroyObject(session, only(p11, session, CKO_PUBLIC_KEY)) == CKR_OK);
        CK_OBJECT_CLASS kind = CKO_PUBLIC_KEY;
        CK_KEY_TYPE type = CKK_EC_EDWARDS;
        CK_BBOOL yes = CK_TRUE;
        std::string label = made.label();
        Bytes id = made.id();
        std::array<CK_ATTRIBUTE, 7> object{{{CKA_CLASS, &kind, sizeof kind},
                                            {CKA_KEY_TYPE, &type, sizeof type},
                                            {CKA_TOKEN, &yes, sizeof yes},
                                            {CKA_LABEL, label.data(), label.size()},
                                            {CKA_ID, id.data(), id.size()},
                                            {CKA_EC_PARAMS, curve.data(), curve.size()},
                                            {CKA_EC_POINT, told.data(), told.size()}}};
        CK_OBJECT_HANDLE handle = 0;
        REQUIRE(p11->C_CreateObject(session, object.data(), object.size(), &handle) == CKR_OK);
    };
    const Bytes named{0x13, 12, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'};
    const Bytes numbered{0x06, 3, 0x2b, 0x65, 0x70};
    for (const auto& curve : {named, numbered})
        // As it is, in a BIT STRING, in an OCTET STRING.
        for (Bytes told : {Bytes{}, Bytes{0x03, 33, 0}, Bytes{0x04, 32}}) {
            told.insert(told.end(), point.begin(), point.end());
            stored(told, curve);
            const auto token = opened(*hsm);
            const auto key = must(token->find_key("archive"));
            CHECK(key.spki() == made.spki());
            CHECK(verifies(made.spki(), message, must(token->sign_ed25519(key, message))));
        }
    // What is no point is no public half, and the key isn't used.
    for (const auto& bad : {Bytes(31, 7), Bytes(33, 7), Bytes(34, 7), Bytes(35, 7)}) {
        stored(bad, named);
        const auto token = opened(*hsm);
        const auto key = token->find_key("archive");
        REQUIRE_FALSE(key);
        CHECK_THAT(key.error().text, Contains("doesn't tell its public half"));
        CHECK(must(token->keys()).at(0).spki.empty());
    }
}

TEST_CASE("an expected Ed25519 key signs once its token is unlocked, and after a loss") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto spki = must(opened(*hsm)->generate_ed25519("archive")).spki();
    const auto token = must(Token::open_locked(options_for(*hsm, hsm->label())));
    const auto key = must(token->expect_key("archive", spki));
    CHECK(key.algorithm() == KeyAlgorithm::ed25519);
    CHECK(key.bits() == 255);
    const auto signs = [&] {
        const auto signature = token->sign_ed25519(key, message);
        if (!signature) CHECK(signature.error().kind == Error::Kind::environment);
        return signature && verifies(spki, message, *signature);
    };
    CHECK_FALSE(signs());
    must(token->unlock(Secret(as_view(Hsm::pin))));
    CHECK(signs());

    // The same library, finalised behind our back: its handles are gone.
    const Bare p11(*hsm);
    REQUIRE(p11->C_Finalize(nullptr) == CKR_OK);
    CHECK_FALSE(signs());
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (token->recoveries() == 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(milliseconds(5));
    CHECK(signs());

    token->lock();
    CHECK_FALSE(signs());
    // Octets that are no key are none of either kind.
    for (const auto& bad : {Bytes(spki.begin(), spki.end() - 1), Bytes(44, 0x30)})
        CHECK_FALSE(token->expect_key("archive", bad));
}

TEST_CASE("an Ed25519 key is destroyed like any other, and proved gone") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto key = must(token->generate_ed25519("archive"));
    const auto other = must(token->generate_ed25519("other"));
    const auto rsa = must(token->generate_rsa("tsu-1"));
    const auto digest = [](const Key& of) { return pki::digest(pki::Hash::sha256, of.spki()); };
    const auto named = token->destroy_key("nobody", digest(key));
    REQUIRE_FALSE(named);
    CHECK_THAT(named.error().text, Contains("under another label"));
    must(token->destroy_key("archive", digest(key)));
    CHECK_FALSE(token->find_key("archive"));
    CHECK_FALSE(token->sign_ed25519(key, message));
    CHECK(verifies(other.spki(), message, must(token->sign_ed25519(other, message))));
    must(token->destroy_key("tsu-1", digest(rsa)));
    CHECK(must(token->keys()).size() == 1);
}

TEST_CASE("RSA and Ed25519 signatures at once, through four sessions") {
    const auto hsm = hsm_under_test();
    if (!hsm->has_ed25519()) return;
    const auto token = opened(*hsm);
    const auto edwards = must(token->generate_ed25519("archive"));
    const auto rsa = must(token->generate_rsa("tsu-1"));
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 40; ++i) {
                const auto text = std::to_string(t) + "/" + std::to_string(i);
                const bool first = (t + i) % 2 == 0;
                const auto signature = first ? token->sign_ed25519(edwards, as_view(text))
                                             : token->sign(rsa, pki::Hash::sha512, as_view(text));
                if (signature && (!first || verifies(edwards.spki(), as_view(text), *signature))) ++good;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(good == 240);
    CHECK(token->recoveries() == 0);
}

TEST_CASE("names of algorithms") {
    CHECK(name(KeyAlgorithm::rsa) == "RSA");
    CHECK(name(KeyAlgorithm::ed25519) == "Ed25519");
    CHECK(key_algorithm("rsa") == KeyAlgorithm::rsa);
    CHECK(key_algorithm("ed25519") == KeyAlgorithm::ed25519);
    CHECK(key_algorithm("Ed25519") == KeyAlgorithm::ed25519);
    for (const char* none : {"", "ed2551", "ed25519 ", "ed448", "dsa"}) CHECK_FALSE(key_algorithm(none));
}
