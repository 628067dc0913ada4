// A token made by us, in a real module.
#include <filesystem>
#include <fstream>

#include "hsm/commands.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::SoftHsm;

namespace {

std::string pin_file(const SoftHsm& softhsm, const std::string& name, const std::string& pin) {
    const auto path = softhsm.folder() + "/" + name;
    std::ofstream(path) << pin << "\n";
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
}

std::size_t tokens_in(const SoftHsm& softhsm) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(softhsm.folder() + "/tokens"))
        count += entry.is_directory() ? 1 : 0;
    return count;
}

}  // namespace

// SoftHSM takes PINs of 4 to 255 octets.
TEST_CASE("token init: a PIN that the HSM refuses is told, and the same command with a good one goes on") {
    const SoftHsm softhsm("other");
    Settings settings;
    settings.module = SoftHsm::module();
    settings.token = "new";
    settings.pin_file = pin_file(softhsm, "user.pin", "123");
    const auto so_pin_file = pin_file(softhsm, "so.pin", "1");
    const auto refused = [&](const std::string& file) {
        const auto done = initialise_token(settings, file);
        REQUIRE_FALSE(done.ok());
        CHECK(done.error().kind == Error::Kind::usage);
        return done.error().text;
    };
    // The officer's: nothing is made.
    CHECK_THAT(refused(so_pin_file), Contains("so.pin: the HSM refuses this PIN (CKR_PIN_"));
    CHECK(tokens_in(softhsm) == 1);
    // The user's: the token is there without it.
    pin_file(softhsm, "so.pin", "officer-1");
    CHECK_THAT(refused(so_pin_file), Contains("user.pin: the HSM refuses this PIN (CKR_PIN_LEN_RANGE)"));
    CHECK(tokens_in(softhsm) == 2);
    // Somebody else's officer doesn't get on with it; the one who began does, in the same token.
    pin_file(softhsm, "user.pin", "good-pin");
    CHECK_THAT(refused(pin_file(softhsm, "wrong.pin", "officer-2")),
               Contains("wrong.pin: not the security officer's PIN"));
    must(initialise_token(settings, so_pin_file));
    CHECK(tokens_in(softhsm) == 2);
    must(Token::open(options_for(SoftHsm::module(), "new", "good-pin")));
    // Now it is whole: left as it is.
    CHECK_THAT(refused(so_pin_file), Contains("there is a token 'new' already"));
    CHECK_THAT(refused(pin_file(softhsm, "wrong.pin", "officer-2")), Contains("already"));
    must(Token::open(options_for(SoftHsm::module(), "new", "good-pin")));
}
