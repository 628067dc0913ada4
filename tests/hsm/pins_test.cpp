// New PINs for a token whose keys stay, also where the change before broke off. Tokens without a security
// officer (NSS) can't have that.
#include <atomic>
#include <thread>

#include "pki/public_key.h"
#include "tests/hsm/opened.h"
#include "tests/support/softokn.h"

using namespace kokuin;
using namespace kokuin::hsm;
using testing::Hsm;
using testing::SoftHsm;
using testing::Softokn;

namespace {

constexpr const char* new_user = "new-user-pin-1";
constexpr const char* new_officer = "new-officer-pin-1";

Secret secret(const std::string& text) {
    return Secret(as_view(text));
}
PinChange change(const std::string& officer = SoftHsm::so_pin, bool begun = false) {
    return {secret(officer), secret(new_officer), secret(new_user), begun};
}
/// Whether the token takes this PIN, by pkcs11-tool's word.
bool takes(const Hsm& hsm, const std::string& type, const std::string& pin) {
    std::vector<std::string> command{"pkcs11-tool",
                                     "--module",
                                     hsm.module_for_others(),
                                     "--token-label",
                                     hsm.label(),
                                     "--login",
                                     "--login-type",
                                     type,
                                     type == "so" ? "--so-pin" : "--pin",
                                     pin};
    // An officer can look at nothing, but set the own PIN to what it is.
    if (type == "so")
        command.insert(command.end(), {"--change-pin", "--new-pin", pin});
    else
        command.push_back("--list-objects");
    return testing::run(command).status == 0;
}

}  // namespace

TEST_CASE(
    "PINs are changed while others sign: the key stays, each signature is right or refused, the old PINs are "
    "dead",
    "[softhsm]") {
    const SoftHsm softhsm;
    const auto token = opened(softhsm);
    const auto key = must(token->generate_rsa("tsu-1"));
    const auto verifier = must(pki::PublicKey::from_spki(key.spki()));
    std::atomic<bool> stop{false};
    std::atomic<int> right{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> signers;
    for (int i = 0; i < 4; ++i)
        signers.emplace_back([&] {
            while (!stop) {
                const auto signature = token->sign(key, pki::Hash::sha512, some_octets);
                if (signature && verifier.verify(pki::Hash::sha512, some_octets, *signature)) ++right;
                if (signature ? !verifier.verify(pki::Hash::sha512, some_octets, *signature)
                              : signature.error().kind != Error::Kind::environment)
                    ++wrong;
            }
        });
    while (right < 20) std::this_thread::yield();
    const auto changed = token->change_pins(change());
    const int before = right;
    while (changed && right < before + 20) std::this_thread::yield();
    stop = true;
    for (auto& one : signers) one.join();
    must(changed);
    CHECK(wrong == 0);
    CHECK(token->available());
    CHECK(takes(softhsm, "user", new_user));
    CHECK(takes(softhsm, "so", new_officer));
    CHECK_FALSE(takes(softhsm, "user", SoftHsm::pin));
    CHECK_FALSE(takes(softhsm, "so", SoftHsm::so_pin));
}

TEST_CASE("A wrong officer's PIN changes nothing, and the token goes on", "[softhsm]") {
    const SoftHsm softhsm;
    const auto token = opened(softhsm);
    const auto key = must(token->generate_rsa("tsu-1"));
    const auto refused = token->change_pins(change("not-the-officer"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(refused.error().text.find("officer's login: CKR_PIN_INCORRECT") != std::string::npos);
    CHECK(token->sign(key, pki::Hash::sha512, some_octets));
    CHECK(takes(softhsm, "user", SoftHsm::pin));
    CHECK(takes(softhsm, "so", SoftHsm::so_pin));
}

TEST_CASE("A PIN that the token finds too long changes nothing, or can be gone on with", "[softhsm]") {
    const SoftHsm softhsm;
    const auto token = opened(softhsm);
    const auto key = must(token->generate_rsa("tsu-1"));
    PinChange long_officer{secret(SoftHsm::so_pin), secret(std::string(300, 'x')), secret(new_user)};
    const auto refused = token->change_pins(long_officer);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(token->sign(key, pki::Hash::sha512, some_octets));

    // Here the officer's is new already.
    PinChange long_user{secret(SoftHsm::so_pin), secret(new_officer), secret(std::string(300, 'x'))};
    const auto half = token->change_pins(long_user);
    REQUIRE_FALSE(half);
    CHECK(half.error().kind != Error::Kind::no);
    CHECK(token->locked());
    must(token->change_pins(change(SoftHsm::so_pin, true)));
    CHECK(token->sign(key, pki::Hash::sha512, some_octets));
    CHECK(takes(softhsm, "so", new_officer));
}

TEST_CASE("A change that broke off is gone on with, however far it came", "[softhsm]") {
    const SoftHsm softhsm;
    Bytes spki;
    {
        const auto token = opened(softhsm);
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    const auto tool = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"pkcs11-tool", "--module", SoftHsm::module(), "--token-label",
                                             softhsm.label(), "--login"});
        const auto ran = testing::run(arguments);
        INFO(ran.output);
        REQUIRE(ran.status == 0);
    };
    const std::string so_pin = SoftHsm::so_pin;
    const auto how_far = GENERATE(0, 1, 2);
    if (how_far > 0)
        tool({"--login-type", "so", "--so-pin", so_pin, "--change-pin", "--new-pin", new_officer});
    if (how_far > 1)
        tool({"--login-type", "so", "--so-pin", new_officer, "--init-pin", "--new-pin", new_user});

    const auto token = must(Token::open_locked(options_for(SoftHsm::module(), softhsm.label())));
    const auto key = must(token->expect_key("tsu-1", spki));
    must(token->change_pins(change(so_pin, true)));
    CHECK_FALSE(token->locked());
    CHECK(token->sign(key, pki::Hash::sha512, some_octets));
    CHECK(takes(softhsm, "user", new_user));
    CHECK(takes(softhsm, "so", new_officer));
}

TEST_CASE("A token without a security officer keeps its PIN, and goes on", "[nss]") {
    const Softokn softokn;
    const auto token = opened(softokn);
    const auto key = must(token->generate_rsa("tsu-1"));
    for (const bool begun : {false, true}) {
        const auto refused = token->change_pins(change(Hsm::so_pin, begun));
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().text, Catch::Matchers::Contains("no security officer"));
        CHECK((refused.error().kind == Error::Kind::no) == !begun);
        CHECK(token->locked() == begun);
    }
    must(token->unlock(secret(Hsm::pin)));
    CHECK(token->sign(key, pki::Hash::sha512, some_octets));
    CHECK(takes(softokn, "user", Hsm::pin));
    CHECK_FALSE(takes(softokn, "user", new_user));
}

TEST_CASE("No PIN is given to a token that has refused one") {
    const auto hsm = testing::hsm_under_test();
    const auto token = must(Token::open_locked(options_for(*hsm, hsm->label())));
    REQUIRE_FALSE(token->unlock(secret("wrong-one")));
    const auto refused = token->change_pins(change());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(refused.error().text.find("out of use") != std::string::npos);
    CHECK(takes(*hsm, "user", Hsm::pin));
    CHECK_FALSE(takes(*hsm, "user", new_user));
}

TEST_CASE("No PIN is given to a token that has refused one, the officer's neither", "[softhsm]") {
    const SoftHsm softhsm;
    const auto token = must(Token::open_locked(options_for(SoftHsm::module(), softhsm.label())));
    REQUIRE_FALSE(token->unlock(secret("wrong-one")));
    REQUIRE_FALSE(token->change_pins(change()));
    CHECK(takes(softhsm, "so", SoftHsm::so_pin));
}
