#include "hsm/custody/papers/json.h"
#include "tests/custody/held.h"

using namespace kokuin;
using namespace kokuin::hsm::custody;

namespace {

std::string text_field(const store::Event& event, const char* key) {
    return std::get<std::string>(event.fields.at(key));
}

}  // namespace

TEST_CASE("Any two of three custodians open the token with the PIN that was drawn") {
    const auto& held = usual();
    for (const auto& [first, second] : {std::pair(0, 1), std::pair(1, 2), std::pair(2, 0)}) {
        Server server(held.ceremony.roster);
        CHECK(server.activation.state().text ==
              "locked: 0 of 2 shares are here of 2 of 3 custodians (a, b, c)");
        const auto half = must(server.give(held.open(first)));
        CHECK_FALSE(half.activated);
        CHECK(half.given == std::vector<std::string>{held.files[first].custodian});
        CHECK(server.opened.empty());
        const auto whole = must(server.give(held.open(second)));
        CHECK(whole.activated);
        CHECK(whole.given.empty());
        CHECK(server.opened == std::vector<std::string>{held.pin()});
        CHECK(server.kinds() ==
              std::vector<std::string>{"custody.share", "custody.share", "custody.activated"});
    }
}

TEST_CASE("What was agreed to is recorded so that anybody with the roster can check it") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    (void)must(server.give(held.open(0)));
    (void)must(server.give(held.open(2)));
    const auto& [event, blobs] = server.events.back();
    CHECK(event.subject == "token");
    CHECK(text_field(event, "custodians") == "a, c");
    CHECK(text_field(event, "settings") == std::string(64, 'a'));
    CHECK(text_field(event, "ceremony") == held.ceremony.roster.ceremony);
    CHECK(text_field(server.events.front().first, "account") == "operator");
    REQUIRE(blobs.size() == 1);
    const auto approvals = Json::parse(as_text(blobs.front().content()))["approvals"];
    REQUIRE(approvals.size() == 2);
    for (const auto& one : approvals) {
        const auto statement = one["statement"].get<std::string>();
        CHECK(statement.find("act: activate\n") != std::string::npos);
        CHECK(statement.find("settings: " + std::string(64, 'a') + "\n") != std::string::npos);
        const auto& custodian = *held.ceremony.roster.find(one["custodian"].get<std::string>());
        CHECK(verify(custodian.keys.signing, as_view(statement),
                     *from_hex(one["signature"].get<std::string>())));
    }
    for (const auto& [each, attached] : server.events)
        for (const auto& [key, value] : each.fields) {
            const auto* text = std::get_if<std::string>(&value);
            CHECK((!text || text->find(held.pin()) == std::string::npos));
        }
}

TEST_CASE("The same share twice is one share") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    (void)must(server.give(held.open(0)));
    const auto again = must(server.give(held.open(0)));
    CHECK_FALSE(again.activated);
    CHECK(again.given == std::vector<std::string>{"a"});
    CHECK(server.kinds() == std::vector<std::string>{"custody.share"});
}

TEST_CASE(
    "Shares of another ceremony, generation or custodian are refused, and the token hears nothing of it") {
    const auto& held = usual();
    const Held foreign;
    Server server(held.ceremony.roster);
    const auto refused = server.give(foreign.open(0));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(refused.error().text.find(foreign.ceremony.roster.ceremony) != std::string::npos);
    CHECK(refused.error().text.find(held.ceremony.roster.ceremony) != std::string::npos);

    // One who says it is of this ceremony.
    auto lying = foreign.open(0);
    lying.file.ceremony = held.ceremony.roster.ceremony;
    CHECK_FALSE(server.give(lying));  // signed with a key that nobody here has

    // A custodian of this ceremony, with another's share.
    auto swapped = held.open(0);
    swapped.share.pin = Secret(held.ceremony.shares[1].pin.view());
    const auto wrong = server.give(swapped);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().text.find("isn't the share that was made for a") != std::string::npos);

    auto older = held.open(0);
    older.file.generation = 0;
    CHECK_FALSE(server.give(older));

    auto nobody = held.open(0);
    nobody.file.custodian = "d";
    CHECK_FALSE(server.give(nobody));

    CHECK(server.opened.empty());
    CHECK(server.events.empty());
    CHECK(server.activation.state().given.empty());
    // And none of it is in the way of the right ones.
    (void)must(server.give(held.open(0)));
    CHECK(must(server.give(held.open(1))).activated);
}

TEST_CASE("A share is for one server, one act and one configuration") {
    const auto& held = usual();
    Server one(held.ceremony.roster);
    Server other(held.ceremony.roster, std::string(64, 'b'));
    const auto given = must(answer(one.activation.challenge(), held.open(0)));
    CHECK_FALSE(
        other.activation.give(given, "operator"));  // another nonce, other settings, another letterbox

    // Overheard, and given again after the token was closed.
    (void)must(one.activation.give(given, "operator"));
    (void)must(one.give(held.open(1)));
    REQUIRE(one.activation.deactivate("maintenance", "operator 1", "operator"));
    const auto replayed = one.activation.give(given, "operator");
    REQUIRE_FALSE(replayed);
    CHECK(replayed.error().text.find("isn't over what is to be done") != std::string::npos);
    CHECK(one.opened.size() == 1);

    // A signature over other settings than the server has.
    auto challenge = one.activation.challenge();
    challenge.statement.settings = std::string(64, 'c');
    CHECK_FALSE(one.activation.give(must(answer(challenge, held.open(0))), "operator"));
    // Changed on the way.
    auto changed = must(answer(one.activation.challenge(), held.open(0)));
    changed.share.sealed[3] ^= 1U;
    CHECK_FALSE(one.activation.give(changed, "operator"));
}

TEST_CASE("A custodian's side signs an activation of its own token, and nothing that is passed off as one") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    const auto refused = [&](const std::function<void(Statement&)>& change) {
        auto challenge = server.activation.challenge();
        change(challenge.statement);
        const auto given = answer(challenge, held.open(0));
        return !given && given.error().text.find("nothing was signed") != std::string::npos;
    };
    CHECK_FALSE(refused([](Statement&) {}));
    CHECK(refused([](Statement& s) { s.act = "key-destroy"; }));
    CHECK(refused([](Statement& s) { s.content = "key tsu-1"; }));
    CHECK(refused([](Statement& s) { s.ceremony = std::string(32, '0'); }));
    CHECK(refused([](Statement& s) { s.generation = 2; }));
    CHECK(refused([](Statement& s) { s.token = "another"; }));
}

TEST_CASE("What goes over the socket is read back as it was written, and nonsense is refused") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    const auto challenge = must(Challenge::from_json(server.activation.challenge().to_json()));
    CHECK(challenge.statement == server.activation.challenge().statement);
    CHECK(challenge.roster == held.ceremony.roster);
    const auto given = must(Given::from_json(must(answer(challenge, held.open(0))).to_json()));
    CHECK(must(server.activation.give(given, "operator")).given == std::vector<std::string>{"a"});
    const auto text = given.to_json();
    CHECK(text.find(to_hex(held.ceremony.shares[0].pin.view())) == std::string::npos);
    for (const auto* bad : {"", "{}", "[]", "1", R"({"ceremony":1})"}) {
        CHECK_FALSE(Given::from_json(bad));
        CHECK_FALSE(Challenge::from_json(bad));
    }
    for (std::size_t size = 0; size < text.size(); size += 7)
        CHECK_FALSE(Given::from_json(text.substr(0, size)));
}

TEST_CASE("A token that refuses the PIN is never asked again") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    server.opens = Error::usage("the PIN is wrong");
    (void)must(server.give(held.open(0)));
    const auto refused = server.give(held.open(1));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::usage);
    CHECK(server.activation.state().refused);
    CHECK(server.kinds().back() == "custody.refused");
    server.opens = {};
    CHECK_FALSE(server.give(held.open(0)));
    CHECK_FALSE(server.give(held.open(1)));
    CHECK(server.opened.size() == 1);
}

TEST_CASE("A token that is away when the custodians come is activated all the same") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    server.opens = Error::environment("not connected");
    (void)must(server.give(held.open(0)));
    CHECK(must(server.give(held.open(1))).activated);
}

TEST_CASE("What can't be recorded doesn't happen") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    server.records = Error::environment("disk full");
    const auto full = server.give(held.open(0));
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == Error::Kind::environment);
    CHECK(server.activation.state().given.empty());
    server.records = {};
    (void)must(server.give(held.open(0)));
    server.records = Error::environment("disk full");
    CHECK_FALSE(server.give(held.open(1)));
    CHECK(server.opened.empty());
    server.records = {};
    CHECK(must(server.give(held.open(1))).activated);
}

TEST_CASE("Deactivated, it closes the token, forgets everything, and can be activated again") {
    const auto& held = usual();
    Server server(held.ceremony.roster);
    CHECK_FALSE(server.activation.deactivate("why", "by", "operator"));  // nothing is active
    (void)must(server.give(held.open(0)));
    REQUIRE(server.activation.deactivate("wrong person", "operator 1", "operator"));
    CHECK(server.activation.state().given.empty());
    (void)must(server.give(held.open(1)));
    CHECK(must(server.give(held.open(2))).activated);
    const auto third = server.give(held.open(0));
    REQUIRE_FALSE(third);
    CHECK(third.error().text.find("activated already") != std::string::npos);

    server.records = Error::environment("disk full");
    const auto unrecorded = server.activation.deactivate("why", "by", "operator");
    CHECK_FALSE(unrecorded);
    CHECK(server.closed == 2);  // closed, whatever the archive says
    CHECK_FALSE(server.activation.state().activated);
    server.records = {};
    (void)must(server.give(held.open(0)));
    CHECK(must(server.give(held.open(1))).activated);
    CHECK(server.opened.size() == 2);
}

TEST_CASE("A PIN that was kept over a restart opens only under the settings that were agreed to") {
    const auto& held = usual();
    Server changed(held.ceremony.roster, std::string(64, 'b'));
    const auto refused = changed.activation.reopen(Secret(held.ceremony.pin.view()), std::string(64, 'a'));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::no);
    CHECK(changed.opened.empty());
    (void)must(changed.give(held.open(0)));
    CHECK(must(changed.give(held.open(1))).activated);

    Server same(held.ceremony.roster, std::string(64, 'a'));
    REQUIRE(same.activation.reopen(Secret(held.ceremony.pin.view()), std::string(64, 'a')));
    CHECK(same.activation.state().activated);
    CHECK(same.opened == std::vector<std::string>{held.pin()});
    CHECK(same.kinds() == std::vector<std::string>{"custody.kept"});
}
