// Other custodians, the same token: who can open it then, who can't any more, and what a crash in between
// leaves.
#include "hsm/custody/reshare.h"

#include "hsm/custody/papers/json.h"
#include "tests/custody/held.h"

using namespace kokuin;
using namespace kokuin::hsm::custody;

namespace {

struct StillMono final : MonoClock {
    [[nodiscard]] MonoTime now() const override { return {}; }
};

/// A token as far as PINs go: what a real one makes of a PinChange is tests/hsm/pins_test.cpp's.
struct Pins {
    std::string user;
    std::string officer;
    bool open = false;
};

/// A server with its archive's records. Not copyable: the parts name it.
struct House {
    Pins& pins;
    StillMono mono;
    std::vector<std::pair<store::Event, std::vector<store::Blob>>> events;
    Done breaks;  ///< what a change of PINs says after the officer's is set
    std::function<Done(const store::Event&, const std::vector<store::Blob>&)> record =
        [this](const store::Event& event, const std::vector<store::Blob>& blobs) {
            events.emplace_back(event, blobs);
            return Done();
        };
    Activation activation;
    Approvals approvals{[this] { return activation.roster(); }, {"tsad", std::string(64, 'a'), mono, record}};

    House(Pins& token, const Roster& roster, std::optional<Roster> next = std::nullopt)
        : pins(token),
          activation(roster,
                     {"tsad", std::string(64, 'a'),
                      [this](const Secret& pin) {
                          pins.open = as_text(pin.view()) == pins.user;
                          return pins.open ? Done() : Error::usage("CKR_PIN_INCORRECT");
                      },
                      [this] { pins.open = false; }, record,
                      [this](const hsm::PinChange& change) -> Done {
                          pins.open = false;
                          const auto officer = as_text(change.officer.view());
                          const auto new_officer = as_text(change.new_officer.view());
                          if (!(change.begun && pins.officer == new_officer) && pins.officer != officer)
                              return change.begun ? Error::usage("CKR_PIN_INCORRECT")
                                                  : Error::no("CKR_PIN_INCORRECT");
                          pins.officer = new_officer;
                          if (!breaks) return breaks;
                          pins.user = as_text(change.new_user.view());
                          pins.open = true;
                          return {};
                      }},
                     std::move(next)) {}
    House(const House&) = delete;
    House& operator=(const House&) = delete;

    Done give(const OpenShare& share) {
        const auto given = answers(activation.challenge(), share);
        if (!given) return given.error();
        for (const auto& one : *given)
            if (const auto state = activation.give(one, "root"); !state) return state.error();
        return {};
    }
    Result<Approvals::Outcome> approve(const Proposal& proposal, const OpenShare& share) {
        const auto mine = must(share_in(activation.roster(), share));
        const auto& name = share.file.custodian;
        return approvals.approve(proposal.id,
                                 hsm::custody::approve(proposal.statement, name, share.seed.view()),
                                 seal_for(proposal.letterbox, mine.officer.view(), proposal.context(name)));
    }
    [[nodiscard]] std::vector<std::string> kinds() const {
        std::vector<std::string> all;
        for (const auto& [event, blobs] : events) all.push_back(event.kind);
        return all;
    }
};

/// Three custodians, a ceremony's; a fourth who joins; the token.
struct Scene {
    Held held;
    OpenShare fourth = [this] {
        auto seed = random_secret(seed_octets);
        auto file = make_joining_file(held.ceremony.roster, "d", seed.view(), Held::passphrase("d").view());
        return OpenShare{std::move(file), std::move(seed), {}};
    }();
    Pins pins{held.pin(), as_text(held.ceremony.officer_pin.view())};

    [[nodiscard]] const Roster& roster() const { return held.ceremony.roster; }
    /// a and b stay, c goes, d comes.
    [[nodiscard]] Successors successors() const {
        return {2,
                {{"a", roster().custodians[0].keys},
                 {"b", roster().custodians[1].keys},
                 {"d", fourth.file.keys}}};
    }
    static Result<Proposal> ask(House& house, const Successors& successors) {
        return propose_resharing(house.activation, house.approvals, successors, "c leaves", "operator 1",
                                 "root");
    }
};

bool gone(const std::string& text, const Pins& pins) {
    return text.find(pins.user) == std::string::npos && text.find(pins.officer) == std::string::npos;
}

}  // namespace

TEST_CASE("One custodian goes, another comes: old files open the new PINs, the one who went opens nothing") {
    Scene scene;
    const auto first_pins = scene.pins;
    House house(scene.pins, scene.roster());
    must(house.give(scene.held.open(0)));
    must(house.give(scene.held.open(2)));
    REQUIRE(scene.pins.open);

    const auto proposal = must(Scene::ask(house, scene.successors()));
    CHECK(proposal.statement.act == "reshare");
    CHECK(proposal.statement.content == "2 of a " + fingerprint(scene.roster().custodians[0].keys) + ", b " +
                                            fingerprint(scene.roster().custodians[1].keys) + ", d " +
                                            fingerprint(scene.fourth.file.keys));
    CHECK_FALSE(must(house.approve(proposal, scene.held.open(2))).done);
    const auto outcome = must(house.approve(proposal, scene.held.open(1)));
    CHECK(outcome.done);
    CHECK(outcome.text == "both PINs are new, and with 2 of 3 custodians (a, b, d), generation 2");
    CHECK(scene.pins.open);
    CHECK(scene.pins.user != first_pins.user);
    CHECK(scene.pins.officer != first_pins.officer);
    CHECK(house.activation.state().activated);
    CHECK(house.kinds() == std::vector<std::string>{"custody.share", "custody.share", "custody.activated",
                                                    "custody.proposed", "custody.agreed", "custody.resharing",
                                                    "custody.shared"});
    for (const auto& [event, blobs] : house.events)
        for (const auto& blob : blobs) CHECK(gone(as_text(blob.content()), scene.pins));

    // The next day: the roster as the archive has it.
    const auto& blobs = house.events.back().second;
    REQUIRE(blobs.size() == 1);
    const auto roster = must(Roster::from_json(as_text(blobs.front().content())));
    CHECK(roster == house.activation.roster());
    const auto a = scene.held.open(0);
    const auto b = scene.held.open(1);
    for (const auto& [one, two] : std::vector<std::pair<const OpenShare*, const OpenShare*>>{
             {&a, &scene.fourth}, {&scene.fourth, &b}, {&a, &b}}) {
        House next(scene.pins, roster);
        const auto left = next.give(scene.held.open(2));
        REQUIRE_FALSE(left);
        CHECK(left.error().text.find("none of the custodians") != std::string::npos);
        must(next.give(*one));
        must(next.give(*two));
        CHECK(next.activation.state().activated);
        CHECK(scene.pins.open);
    }
}

TEST_CASE(
    "And again, with other numbers; a custodian who lost the file comes with a new one under the same name") {
    Scene scene;
    House house(scene.pins, scene.roster());
    must(house.give(scene.held.open(0)));
    must(house.give(scene.held.open(2)));
    auto proposal = must(Scene::ask(house, scene.successors()));
    (void)must(house.approve(proposal, scene.held.open(0)));
    (void)must(house.approve(proposal, scene.held.open(2)));
    REQUIRE(house.activation.roster().generation == 2);

    auto seed = random_secret(seed_octets);
    auto file = make_joining_file(scene.roster(), "b", seed.view(), Held::passphrase("b").view());
    const OpenShare renewed{std::move(file), std::move(seed), {}};
    proposal = must(Scene::ask(house, {3,
                                       {{"a", scene.roster().custodians[0].keys},
                                        {"b", renewed.file.keys},
                                        {"c", scene.roster().custodians[2].keys},
                                        {"d", scene.fourth.file.keys}}}));
    (void)must(house.approve(proposal, scene.fourth));
    CHECK(must(house.approve(proposal, scene.held.open(0))).done);
    const auto roster = house.activation.roster();
    CHECK(roster.text() == "3 of 4 custodians (a, b, c, d)");
    CHECK(roster.generation == 3);

    House next(scene.pins, roster);
    const auto earlier = next.give(scene.held.open(1));
    REQUIRE_FALSE(earlier);
    CHECK(earlier.error().text.find("earlier file") != std::string::npos);
    must(next.give(renewed));
    must(next.give(scene.fourth));
    CHECK_FALSE(next.activation.state().activated);
    must(next.give(scene.held.open(2)));
    CHECK(next.activation.state().activated);
}

TEST_CASE(
    "A wrong officer's share, or none, isn't an approval; a signature of before the re-sharing isn't one "
    "after") {
    Scene scene;
    House house(scene.pins, scene.roster());
    must(house.give(scene.held.open(0)));
    must(house.give(scene.held.open(2)));
    const auto proposal = must(Scene::ask(house, scene.successors()));
    const auto signature = [&](std::size_t i) {
        return hsm::custody::approve(proposal.statement, scene.roster().custodians[i].name,
                                     scene.held.ceremony.seeds[i].view());
    };
    CHECK_FALSE(house.approvals.approve(proposal.id, signature(0)));
    const auto sealed = [&](View share, const std::string& name) {
        return seal_for(proposal.letterbox, share, proposal.context(name));
    };
    const auto& shares = scene.held.ceremony.shares;
    CHECK_FALSE(house.approvals.approve(proposal.id, signature(0), sealed(shares[0].pin.view(), "a")));
    CHECK_FALSE(house.approvals.approve(proposal.id, signature(0), sealed(shares[1].officer.view(), "a")));
    CHECK_FALSE(house.approvals.approve(proposal.id, signature(0), sealed(shares[0].officer.view(), "b")));
    CHECK(house.approvals.waiting().front().given.empty());

    const auto other = must(house.approvals.propose(
        {"key-destroy", "k", "why", "by", "root"}, [] { return Done(); },
        [](const Agreement&) { return Result<std::string>(std::string("done")); }));
    (void)must(house.approve(proposal, scene.held.open(0)));
    REQUIRE(must(house.approve(proposal, scene.held.open(2))).done);
    CHECK(house.approvals.waiting().empty());
    const auto late = house.approvals.approve(
        other.id, hsm::custody::approve(other.statement, "a", scene.held.ceremony.seeds[0].view()));
    REQUIRE_FALSE(late);
    CHECK(late.error().text.find("replaced since") != std::string::npos);
    CHECK(house.approvals.waiting().empty());
}

TEST_CASE("A re-sharing isn't asked for with too few, the same keys twice or a bad name") {
    Scene scene;
    House house(scene.pins, scene.roster());
    must(house.give(scene.held.open(0)));
    must(house.give(scene.held.open(2)));
    auto twice = scene.successors();
    twice.custodians[2].second = twice.custodians[0].second;
    auto one = scene.successors();
    one.threshold = 1;
    auto many = scene.successors();
    many.threshold = 4;
    auto name = scene.successors();
    name.custodians[2].first = "Hanako Yamada";
    for (const auto& bad : {twice, one, many, name}) {
        const auto refused = Scene::ask(house, bad);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Error::Kind::usage);
    }
    CHECK(house.approvals.waiting().empty());
}

TEST_CASE("If the token refuses the officer's PIN nothing has changed, and the archive says so") {
    Scene scene;
    House house(scene.pins, scene.roster());
    must(house.give(scene.held.open(0)));
    must(house.give(scene.held.open(2)));
    scene.pins.officer = "set by somebody else";
    const auto proposal = must(Scene::ask(house, scene.successors()));
    (void)must(house.approve(proposal, scene.held.open(0)));
    const auto refused = house.approve(proposal, scene.held.open(2));
    REQUIRE_FALSE(refused);
    CHECK(house.activation.state().activated);
    CHECK(house.activation.roster() == scene.roster());
    const auto& [event, blobs] = house.events.back();
    CHECK(event.kind == "custody.shared");
    CHECK(must(Roster::from_json(as_text(blobs.at(0).content()))) == scene.roster());
}

TEST_CASE("Broken off in the middle: custodians of both generations go on with it, fewer open nothing") {
    Scene scene;
    std::optional<Roster> next;
    {
        House house(scene.pins, scene.roster());
        must(house.give(scene.held.open(0)));
        must(house.give(scene.held.open(2)));
        house.breaks = Error::environment("the device failed");
        const auto proposal = must(Scene::ask(house, scene.successors()));
        (void)must(house.approve(proposal, scene.held.open(0)));
        const auto broken = house.approve(proposal, scene.held.open(2));
        REQUIRE_FALSE(broken);
        CHECK(broken.error().kind == Error::Kind::environment);
        CHECK_FALSE(house.activation.state().activated);
        CHECK(house.activation.state().text.find("shares of both generations") != std::string::npos);
        REQUIRE(house.kinds().back() == "custody.broken-off");
        for (const auto& [event, blobs] : house.events)
            if (event.kind == "custody.resharing")
                next = must(Roster::from_json(as_text(blobs.at(0).content())));
        // The same process can go on too: it asks for both.
        CHECK(house.activation.challenge().next == next);
    }
    REQUIRE(next);
    // A crash leaves the same, whatever of it was done.
    const auto how_far = GENERATE(0, 1, 2);
    const auto secret_of = [&](auto which) {
        std::vector<Secret> shares;
        shares.push_back(std::move(must(share_in(*next, scene.held.open(0))).*which));
        shares.push_back(std::move(must(share_in(*next, scene.fourth)).*which));
        return as_text(must(combine({shares[0].view(), shares[1].view()})).view());
    };
    scene.pins.officer =
        how_far > 0 ? secret_of(&Share::officer) : as_text(scene.held.ceremony.officer_pin.view());
    scene.pins.user = how_far > 1 ? secret_of(&Share::pin) : scene.held.pin();

    House house(scene.pins, scene.roster(), next);
    CHECK_FALSE(house.activation.reopen(Secret(as_view(scene.held.pin())), std::string(64, 'a')));
    must(house.give(scene.held.open(2)));  // only the old generation's
    must(house.give(scene.fourth));        // only the new one's
    CHECK_FALSE(house.activation.state().activated);
    CHECK_FALSE(scene.pins.open);
    must(house.give(scene.held.open(0)));  // both
    CHECK(house.activation.state().activated);
    CHECK(scene.pins.open);
    CHECK(house.activation.roster() == *next);
    CHECK(scene.pins.officer == secret_of(&Share::officer));
    CHECK(scene.pins.user == secret_of(&Share::pin));
    CHECK(house.kinds().back() == "custody.shared");
}

TEST_CASE("A joining custodian's file and card are read back, and say nothing secret") {
    const Scene scene;
    const auto text = scene.fourth.file.to_json();
    CHECK(must(ShareFile::from_json(text)) == scene.fourth.file);
    auto opened = must(open_share_file(must(ShareFile::from_json(text)), Held::passphrase("d").view()));
    CHECK(opened.share.pin.empty());
    CHECK(equal_constant_time(opened.seed.view(), scene.fourth.seed.view()));
    CHECK(text.find(to_hex(scene.fourth.seed.view())) == std::string::npos);
    const Card card{scene.roster().ceremony, "d", scene.fourth.file.keys};
    const auto read = must(Card::from_json(card.to_json()));
    CHECK(read.keys == card.keys);
    CHECK(read.custodian == "d");
    CHECK(read.ceremony == card.ceremony);
    for (const auto* bad : {"", "{}", "[]", R"({"kokuin":"custodian share"})"})
        CHECK_FALSE(Card::from_json(bad));
    CHECK_FALSE(Card::from_json(text));
    // Who joined has no share of the first generation.
    CHECK_FALSE(share_in(scene.roster(), scene.fourth));
}
