// A token made by us, in a real module.
#include <filesystem>
#include <fstream>

#include "hsm/commands.h"
#include "tests/hsm/opened.h"
#include "tests/support/softokn.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;
using kokuin::testing::SoftHsm;
using kokuin::testing::Softokn;

namespace {

std::string pin_file(const Hsm& hsm, const std::string& name, const std::string& pin) {
    const auto path = hsm.folder() + "/" + name;
    std::ofstream(path) << pin << "\n";
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
}

/// For a token of this label, whose user's PIN is in user.pin.
Settings settings_for(const Hsm& hsm, const std::string& token, const std::string& pin) {
    Settings settings;
    settings.module = hsm.module_path();
    settings.module_parameters = hsm.module_parameters();
    settings.token = token;
    settings.pin_file = pin_file(hsm, "user.pin", pin);
    return settings;
}

std::string refused(const Settings& settings, const std::string& so_pin_file) {
    const auto done = initialise_token(settings, so_pin_file);
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().kind == Error::Kind::usage);
    return done.error().text;
}

std::size_t tokens_in(const SoftHsm& softhsm) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(softhsm.folder() + "/tokens"))
        count += entry.is_directory() ? 1 : 0;
    return count;
}

}  // namespace

TEST_CASE("token init: a token is made beside another one, and never again") {
    const auto hsm = hsm_under_test("other");
    hsm->add_slot("new");
    const auto settings = settings_for(*hsm, "new", "good-pin");
    const auto so_pin_file = pin_file(*hsm, "so.pin", "officer-1");
    must(initialise_token(settings, so_pin_file));
    Bytes spki;
    {
        const auto token = must(Token::open(options_for(*hsm, "new", "good-pin")));
        spki = must(token->generate_rsa("tsu-1")).spki();
    }
    // Now it is whole: left as it is, whoever asks.
    CHECK_THAT(refused(settings, so_pin_file), Contains("there is a token 'new' already"));
    CHECK_THAT(refused(settings, pin_file(*hsm, "wrong.pin", "officer-2")), Contains("already"));
    CHECK_THAT(refused(settings_for(*hsm, "other", "good-pin"), so_pin_file), Contains("'other' already"));
    CHECK(must(must(Token::open(options_for(*hsm, "new", "good-pin")))->find_key("tsu-1")).spki() == spki);
    CHECK(opened(*hsm)->available());
    CHECK_FALSE(Token::open(options_for(*hsm, "new")));
}

// SoftHSM takes PINs of 4 to 255 octets.
TEST_CASE("token init: a PIN that the HSM refuses is told, and the same command with a good one goes on",
          "[softhsm]") {
    const SoftHsm softhsm("other");
    const auto settings = settings_for(softhsm, "new", "123");
    const auto so_pin_file = pin_file(softhsm, "so.pin", "1");
    // The officer's: nothing is made.
    CHECK_THAT(refused(settings, so_pin_file), Contains("so.pin: the HSM refuses this PIN (CKR_PIN_"));
    CHECK(tokens_in(softhsm) == 1);
    // The user's: the token is there without it.
    pin_file(softhsm, "so.pin", "officer-1");
    CHECK_THAT(refused(settings, so_pin_file),
               Contains("user.pin: the HSM refuses this PIN (CKR_PIN_LEN_RANGE)"));
    CHECK(tokens_in(softhsm) == 2);
    // Somebody else's officer doesn't get on with it; the one who began does, in the same token.
    pin_file(softhsm, "user.pin", "good-pin");
    CHECK_THAT(refused(settings, pin_file(softhsm, "wrong.pin", "officer-2")),
               Contains("wrong.pin: not the security officer's PIN"));
    must(initialise_token(settings, so_pin_file));
    CHECK(tokens_in(softhsm) == 2);
    must(Token::open(options_for(softhsm, "new", "good-pin")));
    // Now it is whole: left as it is.
    CHECK_THAT(refused(settings, so_pin_file), Contains("there is a token 'new' already"));
    CHECK_THAT(refused(settings, pin_file(softhsm, "wrong.pin", "officer-2")), Contains("already"));
    must(Token::open(options_for(softhsm, "new", "good-pin")));
}

TEST_CASE("token init: a module that names its tokens itself", "[nss]") {
    Softokn softokn("other");
    softokn.add_slot("its own");
    softokn.add_slot("another");
    const auto so_pin_file = pin_file(softokn, "so.pin", "officer-1");
    CHECK_THAT(refused(settings_for(softokn, "mine", "good-pin"), so_pin_file),
               Contains("calls its new token 'another', not 'mine'"));
    // The place of that name, and no other.
    must(initialise_token(settings_for(softokn, "its own", "good-pin"), so_pin_file));
    must(Token::open(options_for(softokn, "its own", "good-pin")));
    must(initialise_token(settings_for(softokn, "another", "better-pin"), so_pin_file));
    must(Token::open(options_for(softokn, "another", "better-pin")));
}
