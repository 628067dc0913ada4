// A token that opens later, with a PIN that others bring, and is locked again.
#include <signal.h>

#include <atomic>
#include <thread>

#include "pki/public_key.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using testing::Hsm;
using testing::hsm_under_test;

namespace {

std::unique_ptr<Token> locked(const Hsm& hsm) {
    return must(Token::open_locked(options_for(hsm, hsm.label())));
}
Secret pin(const std::string& text = Hsm::pin) {
    return Secret(as_view(text));
}
bool verifies(const Key& key, View message, View signature) {
    return must(pki::PublicKey::from_spki(key.spki())).verify(pki::Hash::sha512, message, signature);
}

}  // namespace

TEST_CASE("A locked token signs nothing until it is unlocked, and nothing again when it is locked") {
    const auto hsm = hsm_under_test();
    Bytes spki;
    {
        const auto token = opened(*hsm);
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    const auto token = locked(*hsm);
    CHECK(token->locked());
    CHECK_FALSE(token->available());
    CHECK(token->state().find("custodians") != std::string::npos);
    const auto key = must(token->expect_key("tsu-1", spki));
    CHECK(key.bits() == 2048);
    auto none = token->sign(key, pki::Hash::sha512, some_octets);
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == Error::Kind::environment);
    CHECK_FALSE(token->find_key("tsu-1"));

    must(token->unlock(pin()));
    CHECK_FALSE(token->locked());
    CHECK(token->available());
    CHECK(verifies(key, some_octets, must(token->sign(key, pki::Hash::sha512, some_octets))));
    const auto twice = token->unlock(pin());
    REQUIRE_FALSE(twice);
    CHECK(twice.error().kind == Error::Kind::usage);

    token->lock();
    CHECK(token->locked());
    CHECK_FALSE(token->sign(key, pki::Hash::sha512, some_octets));

    must(token->unlock(pin()));
    CHECK(verifies(key, some_octets, must(token->sign(key, pki::Hash::sha512, some_octets))));
}

TEST_CASE("Not only our word: in a locked token nobody is logged in") {
    const auto hsm = hsm_under_test();
    Modules modules;
    const auto module = loaded(modules, *hsm);
    const auto options = [&](const std::string& text) { return options_for(*hsm, hsm->label(), text); };
    const auto token = must(Token::open_locked(options(""), module));
    must(token->unlock(pin()));
    // While somebody is logged in a module doesn't look at the PIN, …
    CHECK(Token::open(options("wrong-one"), module));
    token->lock();
    // … and when nobody is, it does.
    const auto refused = Token::open(options("wrong-one"), module);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("CKR_PIN_INCORRECT") != std::string::npos);
}

TEST_CASE("A wrong PIN is given to a locked token once, and then no other") {
    const auto hsm = hsm_under_test();
    const auto token = locked(*hsm);
    const auto wrong = token->unlock(pin("wrong-one"));
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == Error::Kind::usage);
    CHECK(wrong.error().text.find("wrong-one") == std::string::npos);
    CHECK_FALSE(token->locked());
    const auto right = token->unlock(pin());
    REQUIRE_FALSE(right);
    CHECK(right.error().text.find("out of use") != std::string::npos);
    token->lock();
    CHECK_FALSE(token->unlock(pin()));
}

TEST_CASE("A key that the token hasn't got shows when it signs") {
    const auto hsm = hsm_under_test();
    Bytes spki;
    {
        const auto token = opened(*hsm);
        spki = must(token->generate_rsa("tsu-1")).spki();
        (void)must(token->generate_rsa("other"));
    }
    const auto token = locked(*hsm);
    const auto misnamed = must(token->expect_key("other", spki));
    must(token->unlock(pin()));
    const auto none = token->sign(misnamed, pki::Hash::sha512, some_octets);
    REQUIRE_FALSE(none);
    CHECK(none.error().text.find("no such key") != std::string::npos);
    CHECK(token->available());
    CHECK_FALSE(token->expect_key("tsu-1", View(some_octets)));
}

TEST_CASE("A token that is away when its custodians come opens with their PIN once it is back") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    testing::RemoteHsm remote(*hsm);
    Bytes spki;
    {
        auto token = must(Token::open(options_for(testing::RemoteHsm::module(), hsm->label())));
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    auto token = must(Token::open_locked(options_for(testing::RemoteHsm::module(), hsm->label())));
    const auto key = must(token->expect_key("tsu-1", spki));
    remote.kill();
    const auto away = token->unlock(pin());
    REQUIRE_FALSE(away);
    CHECK(away.error().kind == Error::Kind::environment);
    CHECK_FALSE(token->locked());
    remote.start();
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (!token->available() && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(milliseconds(10));
    CHECK(verifies(key, some_octets, must(token->sign(key, pki::Hash::sha512, some_octets))));
}

TEST_CASE("Locking and unlocking while others sign: each signature is right or refused") {
    const auto hsm = hsm_under_test();
    Bytes spki;
    {
        const auto token = opened(*hsm);
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    const auto token = locked(*hsm);
    const auto key = must(token->expect_key("tsu-1", spki));
    const auto half = must(pki::PublicKey::from_spki(spki));  // Catch's macros belong to one thread
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::atomic<int> right{0};
    std::vector<std::thread> signers;
    for (int i = 0; i < 3; ++i)
        signers.emplace_back([&] {
            while (!stop) {
                const auto signature = token->sign(key, pki::Hash::sha512, some_octets);
                if (!signature)
                    std::this_thread::yield();
                else
                    ++(half.verify(pki::Hash::sha512, some_octets, *signature) ? right : wrong);
            }
        });
    for (int round = 0; round < 20; ++round) {
        const int before = right;
        must(token->unlock(pin()));
        const auto end = std::chrono::steady_clock::now() + seconds(30);
        while (right == before && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        CHECK(right > before);
        token->lock();
        CHECK(token->locked());
    }
    stop = true;
    for (auto& signer : signers) signer.join();
    CHECK(wrong == 0);
}

TEST_CASE("A token that is lost can be locked: nothing brings it back but its custodians") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    testing::RemoteHsm remote(*hsm);
    Bytes spki;
    {
        auto token = must(Token::open(options_for(testing::RemoteHsm::module(), hsm->label())));
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    auto token = must(Token::open_locked(options_for(testing::RemoteHsm::module(), hsm->label())));
    const auto key = must(token->expect_key("tsu-1", spki));
    must(token->unlock(pin()));
    remote.kill();
    CHECK_FALSE(token->sign(key, pki::Hash::sha512, some_octets));
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (token->available() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    token->lock();
    CHECK(token->locked());
    remote.start();
    // Longer than any pause between two attempts.
    std::this_thread::sleep_for(milliseconds(500));
    CHECK(token->locked());
    CHECK_FALSE(token->sign(key, pki::Hash::sha512, some_octets));
    // The module still has to find that its device is back: that may come after unlock().
    (void)token->unlock(pin());
    const auto back = std::chrono::steady_clock::now() + seconds(30);
    while (!token->available() && std::chrono::steady_clock::now() < back)
        std::this_thread::sleep_for(milliseconds(10));
    CHECK(verifies(key, some_octets, must(token->sign(key, pki::Hash::sha512, some_octets))));
}

TEST_CASE("A key is destroyed with what lies beside it, and proved gone") {
    const auto hsm = hsm_under_test();
    const auto token = opened(*hsm);
    const auto one = must(token->generate_rsa("one"));
    const auto other = must(token->generate_rsa("other"));
    const auto digest = pki::digest(pki::Hash::sha256, one.spki());
    const auto usage = token->destroy_key("one", Bytes(31));
    REQUIRE_FALSE(usage);
    CHECK(usage.error().kind == Error::Kind::usage);
    // Under another name it is still there: no proof, no success.
    const auto named = token->destroy_key("nobody", digest);
    REQUIRE_FALSE(named);
    CHECK(named.error().text.find("under another label") != std::string::npos);
    CHECK(token->find_key("one"));
    must(token->destroy_key("one", digest));
    CHECK_FALSE(token->find_key("one"));
    CHECK_FALSE(token->sign(one, pki::Hash::sha512, some_octets));
    CHECK(verifies(other, some_octets, must(token->sign(other, pki::Hash::sha512, some_octets))));
    must(token->destroy_key("one", digest));  // gone already
    CHECK(must(token->keys()).size() == 1);
}
