// Keys, signatures, certificates and refusals on a real token.
#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "pki/public_key.h"
#include "tests/hsm/bare.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;

TEST_CASE("a key made in the token signs, and its public half verifies") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    CHECK(token->available());
    CHECK(token->state() == "ready");
    CHECK_THAT(token->description(), Contains("kokuin-test"));
    const auto key = must(token->generate_rsa("tsu-1"));
    CHECK(key.label() == "tsu-1");
    CHECK(key.bits() == 2048);
    CHECK(key.id().size() == 16);
    const auto open_half = must(pki::PublicKey::from_spki(key.spki()));
    const Bytes message = random_octets(500);
    for (const auto hash : {pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512}) {
        const auto signature = must(token->sign(key, hash, message));
        CHECK(signature.size() == 256);
        CHECK(open_half.verify(hash, message, signature));
        Bytes other = message;
        other[0] ^= 1U;
        CHECK_FALSE(open_half.verify(hash, other, signature));
    }
    // An empty message is a message.
    CHECK(open_half.verify(pki::Hash::sha512, {}, must(token->sign(key, pki::Hash::sha512, {}))));
    const auto sha1 = token->sign(key, pki::Hash::sha1, message);
    REQUIRE_FALSE(sha1);
    CHECK(sha1.error().kind == Error::Kind::usage);
}

TEST_CASE("keys are found by label and by id, also by another process's eyes") {
    const auto hsm = hsm_under_test();
    Bytes id;
    Bytes spki;
    {
        const auto token = opened(*hsm);
        const auto key = must(token->generate_rsa("刻印 1", 3072));
        id = key.id();
        spki = key.spki();
        must(token->generate_rsa("other"));
    }
    const auto token = opened(*hsm);  // loaded and initialised anew
    const auto by_label = must(token->find_key("刻印 1"));
    CHECK(by_label.id() == id);
    CHECK(by_label.spki() == spki);
    CHECK(by_label.bits() == 3072);
    CHECK(must(token->find_key(to_hex(id))).label() == "刻印 1");
    const auto none = token->find_key("nobody");
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == Error::Kind::no);
    CHECK_THAT(none.error().text, Contains("nobody"));
    CHECK_FALSE(token->find_key(""));
    // The label is taken: nothing is overwritten, nothing doubled.
    const auto twice = token->generate_rsa("other");
    REQUIRE_FALSE(twice);
    CHECK(twice.error().kind == Error::Kind::usage);
    CHECK_FALSE(token->generate_rsa("weak", 1024));
    CHECK_FALSE(token->generate_rsa(""));
    CHECK_FALSE(token->generate_rsa("line\nend"));
    CHECK(must(token->keys()).size() == 2);
}

TEST_CASE("a private key can't be read nor wrapped out of the token") {
    const auto hsm = hsm_under_test();
    {
        const auto token = opened(*hsm);
        must(token->generate_rsa("tsu-1"));
        const auto keys = must(token->keys());
        REQUIRE(keys.size() == 1);
        CHECK(keys[0].type == "RSA");
        CHECK(keys[0].bits == 2048);
        CHECK(keys[0].sensitive);
        CHECK_FALSE(keys[0].extractable);
        CHECK(keys[0].local == hsm->attributes_complete());
        CHECK(keys[0].signs);
    }
    // Not by our own code: straight against the module.
    Bare p11(*hsm);
    REQUIRE(p11.initialise() == CKR_OK);
    CK_SESSION_HANDLE session = 0;
    CK_ULONG count = 0;
    REQUIRE(p11->C_OpenSession(p11.slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session) ==
            CKR_OK);
    std::string pin = Hsm::pin;
    REQUIRE(p11->C_Login(session, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()) ==
            CKR_OK);
    CK_OBJECT_CLASS wanted = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE search{CKA_CLASS, &wanted, sizeof wanted};
    REQUIRE(p11->C_FindObjectsInit(session, &search, 1) == CKR_OK);
    CK_OBJECT_HANDLE key = 0;
    REQUIRE(p11->C_FindObjects(session, &key, 1, &count) == CKR_OK);
    REQUIRE(count == 1);
    p11->C_FindObjectsFinal(session);
    for (const CK_ATTRIBUTE_TYPE part :
         {CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT}) {
        Bytes room(512);
        CK_ATTRIBUTE attribute{part, room.data(), room.size()};
        CHECK(p11->C_GetAttributeValue(session, key, &attribute, 1) == CKR_ATTRIBUTE_SENSITIVE);
    }
    const auto flag = [&](CK_ATTRIBUTE_TYPE type) {
        CK_BBOOL value = 0x55;
        CK_ATTRIBUTE attribute{type, &value, sizeof value};
        REQUIRE(p11->C_GetAttributeValue(session, key, &attribute, 1) == CKR_OK);
        return value;
    };
    for (const CK_ATTRIBUTE_TYPE yes :
         {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_SIGN})
        CHECK(flag(yes) == CK_TRUE);
    for (const CK_ATTRIBUTE_TYPE no : {CKA_EXTRACTABLE, CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER})
        CHECK(flag(no) == CK_FALSE);
    if (hsm->attributes_complete()) {
        CHECK(flag(CKA_LOCAL) == CK_TRUE);
        CHECK(flag(CKA_ALWAYS_AUTHENTICATE) == CK_FALSE);
    }
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE loosen{CKA_EXTRACTABLE, &yes, sizeof yes};
    CHECK(p11->C_SetAttributeValue(session, key, &loosen, 1) != CKR_OK);
    CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
    CK_KEY_TYPE aes = CKK_AES;
    CK_ULONG length = 32;
    std::array<CK_ATTRIBUTE, 4> wrapping{{{CKA_CLASS, &secret, sizeof secret},
                                          {CKA_KEY_TYPE, &aes, sizeof aes},
                                          {CKA_VALUE_LEN, &length, sizeof length},
                                          {CKA_WRAP, &yes, sizeof yes}}};
    CK_MECHANISM make{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE wrapper = 0;
    REQUIRE(p11->C_GenerateKey(session, &make, wrapping.data(), wrapping.size(), &wrapper) == CKR_OK);
    CK_MECHANISM wrap{CKM_AES_KEY_WRAP_PAD, nullptr, 0};
    Bytes out(8192);
    CK_ULONG size = out.size();
    const CK_RV wrapped = p11->C_WrapKey(session, &wrap, wrapper, key, out.data(), &size);
    if (hsm->keeps_keys()) CHECK(wrapped == CKR_KEY_UNEXTRACTABLE);
}

TEST_CASE("eight threads sign at once through four sessions") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    const std::array keys{must(token->generate_rsa("one")), must(token->generate_rsa("two"))};
    const std::array halves{must(pki::PublicKey::from_spki(keys[0].spki())),
                            must(pki::PublicKey::from_spki(keys[1].spki()))};
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                const std::string message = std::to_string(t) + "/" + std::to_string(i);
                const std::size_t which = static_cast<std::size_t>(t + i) % 2;
                const auto signature = token->sign(keys[which], pki::Hash::sha512, as_view(message));
                if (signature && halves[which].verify(pki::Hash::sha512, as_view(message), *signature))
                    ++good;
                if (i % 10 == 0 && !token->keys()) good -= 1000;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(good == 400);
    CHECK(token->recoveries() == 0);
}

TEST_CASE("all sessions busy: the caller is told after its time, not kept") {
    const auto hsm = hsm_under_test();
    auto options = options_for(*hsm, hsm->label());
    options.sessions = 1;
    options.wait_for_session = milliseconds(1);
    const auto token = must(Token::open(std::move(options)));
    const auto key = must(token->generate_rsa("tsu-1"));
    std::atomic<bool> made{false};
    // Holds the one session for as long as a key of 4096 bits takes; tries again where we were quicker.
    std::thread busy([&] {
        while (!token->generate_rsa("slow", 4096)) std::this_thread::yield();
        made = true;
    });
    bool told = false;
    while (!told && !made) {
        const auto signature = token->sign(key, pki::Hash::sha512, {});
        if (signature) {
            std::this_thread::yield();
            continue;
        }
        CHECK(signature.error().kind == Error::Kind::environment);
        CHECK_THAT(signature.error().text, Contains("busy"));
        told = true;
    }
    CHECK(told);
    busy.join();
    CHECK(made);
    CHECK(token->available());
}

TEST_CASE("a wrong PIN is given to the token once") {
    const auto hsm = hsm_under_test();
    Modules modules;
    const auto module = loaded(modules, *hsm);
    const auto refused = Token::open(options_for("", hsm->label(), "wrong"), module);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::usage);
    CHECK_THAT(refused.error().text, Contains("CKR_PIN_INCORRECT") && Contains("not tried a second time"));
    CHECK_THAT(refused.error().text, !Contains("wrong\"") && !Contains("'wrong'"));
    // Not even the right one: whether a PIN is right is for a person to find out now.
    const auto again = Token::open(options_for("", hsm->label()), module);
    REQUIRE_FALSE(again);
    CHECK_THAT(again.error().text, Contains("not tried") && Contains("has refused the PIN before"));
    const auto none = Token::open(options_for("", hsm->label(), ""), module);
    CHECK_FALSE(none);
}

TEST_CASE("a right PIN after a wrong one, in a new module, works") {
    const auto hsm = hsm_under_test();
    REQUIRE_FALSE(Token::open(options_for(*hsm, hsm->label(), "wrong")));
    CHECK(opened(*hsm)->available());
    auto none = options_for(*hsm, hsm->label(), "");
    const auto without = Token::open(std::move(none));
    REQUIRE_FALSE(without);
    CHECK_THAT(without.error().text, Contains("no PIN is given"));
}

TEST_CASE("what can't be opened is told with its name and what to do") {
    const auto hsm = hsm_under_test();
    const auto error_of = [](TokenOptions options) {
        const auto token = Token::open(std::move(options));
        REQUIRE_FALSE(token);
        CHECK(token.error().text.find('\n') == std::string::npos);
        return token.error();
    };
    SECTION("no such module") {
        const auto error = error_of(options_for("/nowhere/libhsm.so", hsm->label()));
        CHECK(error.kind == Error::Kind::usage);
        CHECK_THAT(error.text, Contains("/nowhere/libhsm.so"));
    }
    SECTION("a library that is no module") {
        CHECK(error_of(options_for("/usr/lib/x86_64-linux-gnu/libz.so.1", hsm->label())).kind ==
              Error::Kind::usage);
    }
    SECTION("no such token: those that are there are named") {
        const auto error = error_of(options_for(*hsm, "elsewhere"));
        CHECK(error.kind == Error::Kind::environment);
        CHECK_THAT(error.text, Contains("'elsewhere'") && Contains("'kokuin-test'"));
        for (const char* attribute : {"serial=00", "slot-id=99999", "slot-description=nowhere"})
            CHECK_THAT(error_of(options_for(*hsm, "pkcs11:token=kokuin-test;" + std::string(attribute))).text,
                       Contains("not found"));
    }
    SECTION("malformed names and options") {
        CHECK(error_of(options_for(*hsm, "")).kind == Error::Kind::usage);
        CHECK(error_of(options_for(*hsm, "pkcs11:token=%zz")).kind == Error::Kind::usage);
        CHECK(error_of(options_for(*hsm, std::string(33, 'a'))).kind == Error::Kind::usage);
        const auto pin = error_of(options_for(*hsm, "pkcs11:token=kokuin-test?pin-value=12345"));
        CHECK_THAT(pin.text, Contains("PIN") && !Contains("12345"));
        auto options = options_for(*hsm, hsm->label());
        options.sessions = 0;
        CHECK(error_of(std::move(options)).kind == Error::Kind::usage);
    }
}

TEST_CASE("a token is named by URI; a module is loaded once in a process") {
    const auto hsm = hsm_under_test();
    const auto token = must(Token::open(options_for(*hsm, "pkcs11:token=kokuin-test")));
    must(token->generate_rsa("mine"));
    // The first one's module is in use in this process: its users must share it.
    const auto second = Token::open(options_for(*hsm, hsm->label()));
    REQUIRE_FALSE(second);
    CHECK_THAT(second.error().text, Contains("must share one Module"));
}

TEST_CASE("a module gets its parameters, and no others while it is in use") {
    const auto hsm = hsm_under_test();
    // What one module needs, another doesn't take.
    const bool needed = !hsm->module_parameters().empty();
    const auto refused = Module::load(hsm->module_path(), needed ? "" : "configdir='/nowhere'");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::usage);
    CHECK_THAT(refused.error().text, Contains("CKR_ARGUMENTS_BAD") && Contains("[hsm] module_parameters"));
    Modules modules;
    const auto module = loaded(modules, *hsm);
    CHECK(loaded(modules, *hsm) == module);
    const auto other = modules.get(hsm->module_path(), hsm->module_parameters() + " ");
    REQUIRE_FALSE(other);
    CHECK_THAT(other.error().text, Contains("with other parameters"));
}

TEST_CASE("a token that has refused a PIN doesn't speak for its neighbour") {
    const auto hsm = hsm_under_test();
    hsm->add_token("second");
    Modules modules;
    const auto module = loaded(modules, *hsm);
    REQUIRE_FALSE(Token::open(options_for("", hsm->label(), "wrong"), module));
    CHECK(must(Token::open(options_for("", "second"), module))->available());
    CHECK_FALSE(Token::open(options_for("", hsm->label()), module));
}

TEST_CASE("two tokens of one label: the slot tells") {
    const auto hsm = hsm_under_test();
    hsm->add_token(hsm->label());
    Modules modules;
    const auto module = loaded(modules, *hsm);
    const auto ambiguous = Token::open(options_for("", hsm->label()), module);
    REQUIRE_FALSE(ambiguous);
    CHECK(ambiguous.error().kind == Error::Kind::usage);
    const auto& text = ambiguous.error().text;
    const auto slot_after = [&text](std::size_t from) {
        const auto at = text.find(" in slot ", from) + 9;
        return std::pair(text.substr(at, text.find_first_of(",)", at) - at), at);
    };
    const auto [first, at] = slot_after(0);
    const auto [second, end] = slot_after(at);
    const auto one = must(Token::open(options_for("", "pkcs11:slot-id=" + first), module));
    const auto two = must(Token::open(options_for("", "pkcs11:slot-id=" + second), module));
    must(one->generate_rsa("of the first"));
    CHECK(one->find_key("of the first"));
    CHECK_FALSE(two->find_key("of the first"));
}

// NSS gives all its tokens one number.
TEST_CASE("two tokens of one label: the serial number tells", "[softhsm]") {
    testing::SoftHsm softhsm;
    softhsm.add_token(softhsm.label());
    Modules modules;
    const auto module = loaded(modules, softhsm);
    CHECK(must(modules.get("/usr/lib/softhsm/../softhsm/libsofthsm2.so")) == module);
    const auto ambiguous = Token::open(options_for("", softhsm.label()), module);
    REQUIRE_FALSE(ambiguous);
    CHECK(ambiguous.error().kind == Error::Kind::usage);
    const auto at = ambiguous.error().text.find("serial numbers ") + 15;
    const auto serial = ambiguous.error().text.substr(at, 16);
    const auto one = must(Token::open(options_for("", "pkcs11:serial=" + serial), module));
    CHECK_THAT(one->description(), Contains(serial));
}

TEST_CASE("two Tokens on one token sign with one key") {
    const auto hsm = hsm_under_test();
    Modules modules;
    const auto module = loaded(modules, *hsm);
    const auto one = must(Token::open(options_for("", hsm->label()), module));
    const auto two = must(Token::open(options_for("", hsm->label()), module));
    const auto key = must(one->generate_rsa("shared"));
    // Keys are names: the other Token signs with it too.
    const auto half = must(pki::PublicKey::from_spki(key.spki()));
    CHECK(half.verify(pki::Hash::sha256, {}, must(two->sign(key, pki::Hash::sha256, {}))));
}
