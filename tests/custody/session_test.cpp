// A token that custodians open in this process, for one command: real SoftHSM, real share files.
#include "hsm/custody/session.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "hsm/commands.h"
#include "hsm/custody/ceremony_commands.h"
#include "hsm/custody/records.h"
#include "hsm/custody/reshare.h"
#include "hsm/keytool.h"
#include "store/archive.h"
#include "tests/custody/held.h"
#include "tests/support/folder.h"
#include "tests/support/run.h"
#include "tests/support/softhsm.h"
#include "tests/support/text.h"

namespace kokuin::hsm::custody {
using testing::has;
namespace {

/// A token of a ceremony with three custodians, two of whom are enough, and what a program keeps of it.
struct House {
    testing::SoftHsm softhsm;
    testing::Folder folder;
    Held held{2, {"a", "b", "c"}, "ca"};
    SessionPlan plan;
    std::vector<std::pair<store::Event, std::vector<store::Blob>>> events;
    Done records;  ///< what the archive says
    std::ostringstream said;

    House() {
        plan.hsm.module = testing::SoftHsm::module();
        plan.hsm.token = "ca";
        plan.program = "tsca";
        plan.archive = folder.path + "/archive";
        plan.settings = std::string(64, 'a');
        plan.content = "the certificate 'tsu' for CN=TSU 1";
        plan.record = [this](const store::Event& event, const std::vector<store::Blob>& blobs) {
            if (records) events.emplace_back(event, blobs);
            return records;
        };
        const auto now = SystemWallClock().now();
        REQUIRE(store::Archive::create(plan.archive, now));
        REQUIRE(initialise_token(plan.hsm,
                                 {held.ceremony.pin, "the PIN", held.ceremony.officer_pin, "the officer's"}));
        share(held.ceremony.roster);
        for (const auto& file : held.files) write(file);
    }
    void share(const Roster& roster) const {
        const auto archive = must(store::Archive::open(plan.archive));
        const auto record = shared_event(roster);
        REQUIRE(archive->append(SystemWallClock().now(), record.event, {record.roster}));
    }
    void write(const ShareFile& file, const std::string& as = "") const {
        const auto stem = folder.path + "/" + (as.empty() ? file.custodian : as);
        REQUIRE(write_file(stem + ".share", as_view(file.to_json()), 0600));
        REQUIRE(write_file(stem + ".passphrase", Held::passphrase(file.custodian).view(), 0600));
    }
    [[nodiscard]] SessionArguments with(const std::vector<std::string>& stems) const {
        SessionArguments arguments;
        for (const auto& stem : stems) {
            arguments.shares.push_back(folder.path + "/" + stem + ".share");
            arguments.passphrase_files.push_back(folder.path + "/" + stem + ".passphrase");
        }
        return arguments;
    }
    Result<std::unique_ptr<Session>> open(const std::vector<std::string>& stems) {
        return Session::open(plan, with(stems), said);
    }
    /// Why it isn't opened; the token hears nothing and nothing is recorded.
    std::string refusal(const std::vector<std::string>& stems, Error::Kind kind = Error::Kind::no) {
        const auto session = open(stems);
        REQUIRE_FALSE(session);
        INFO(session.error().text);
        CHECK(session.error().kind == kind);
        CHECK(events.empty());
        return session.error().text;
    }
    [[nodiscard]] std::vector<std::string> kinds() const {
        std::vector<std::string> all;
        for (const auto& [event, blobs] : events) all.push_back(event.kind);
        return all;
    }
};

}  // namespace

TEST_CASE("custodians open the token for one command, and each signs what it is for") {
    House house;
    {
        const auto session = must(house.open({"c", "a"}));
        CHECK(session->custodians() == "c, a");
        CHECK(keytool::generate(session->token(), "root"));
        CHECK(house.kinds() == std::vector<std::string>{"custody.activated"});
        REQUIRE(session->close());
        CHECK(house.kinds() == std::vector<std::string>{"custody.activated", "custody.deactivated"});
        CHECK(session->close());
    }
    CHECK(house.kinds().size() == 2);
    CHECK(has(house.said.str(),
              "custodian a: you agree that tsca opens the token 'ca' for: " + house.plan.content));

    // What is recorded can be verified with the roster alone.
    const auto [event, blobs] = house.events.front();
    CHECK(event.subject == "ca");
    CHECK(std::get<std::string>(event.fields.at("content")) == house.plan.content);
    REQUIRE(blobs.size() == 1);
    const auto json = nlohmann::json::parse(as_text(blobs.front().content()));
    REQUIRE(json["approvals"].size() == 2);
    for (const auto& one : json["approvals"]) {
        const auto* custodian = house.held.ceremony.roster.find(one["custodian"].get<std::string>());
        REQUIRE(custodian);
        const auto statement = one["statement"].get<std::string>();
        CHECK(has(statement, "program: tsca\n"));
        CHECK(has(statement, "content: " + house.plan.content + "\n"));
        CHECK(verify(custodian->keys.signing, as_view(statement),
                     *from_hex(one["signature"].get<std::string>())));
    }

    // The next command finds the token closed, and the key where it was; each session has its own nonce.
    const auto again = must(house.open({"a", "b", "c"}));
    CHECK(again->token().find_key("root"));
    CHECK(house.events.back().second.front().id() != blobs.front().id());
}

TEST_CASE("a command that fails closes the token too") {
    House house;
    { const auto session = must(house.open({"a", "b"})); }
    CHECK(house.kinds() == std::vector<std::string>{"custody.activated", "custody.deactivated"});
}

TEST_CASE("too few shares, wrong ones and wrong passphrases open nothing") {
    House house;
    CHECK(has(house.refusal({}), "0 shares are given"));
    CHECK(has(house.refusal({"a"}), "1 share is given"));
    CHECK(has(house.refusal({"a", "a"}), "another copy"));
    house.write(house.held.files[0], "copy");
    CHECK(has(house.refusal({"a", "copy"}), "another copy"));

    const Held other(2, {"a", "b", "c"}, "ca");
    house.write(other.files[1], "other");
    CHECK(has(house.refusal({"a", "other"}),
              "needed is one of 'ca', ceremony " + house.held.ceremony.roster.ceremony));

    REQUIRE(write_file(house.folder.path + "/b.passphrase", as_view("not that passphrase"), 0600));
    CHECK(has(house.refusal({"a", "b"}), "b.share"));

    auto damaged = house.held.files[2].to_json();
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    REQUIRE(write_file(house.folder.path + "/c.share", as_view(damaged), 0600));
    CHECK(has(house.refusal({"a", "c"}, Error::Kind::usage), "c.share"));
    CHECK_FALSE(house.open({"a", "nobody"}));

    auto fewer = house.with({"a", "b"});
    fewer.passphrase_files.pop_back();
    const auto session = Session::open(house.plan, fewer, house.said);
    REQUIRE_FALSE(session);
    CHECK(session.error().kind == Error::Kind::usage);
    CHECK(house.events.empty());
}

TEST_CASE("what can't be recorded isn't done") {
    House house;
    house.records = Error::environment("the disk is full");
    const auto session = house.open({"a", "b"});
    REQUIRE_FALSE(session);
    CHECK(session.error().text == "the disk is full");
}

TEST_CASE("a PIN that somebody has changed is given to the token once, and that is recorded") {
    House house;
    REQUIRE(testing::run({"pkcs11-tool", "--module", house.plan.hsm.module, "--token-label", "ca", "--login",
                          "--pin", house.held.pin(), "--change-pin", "--new-pin", "another-pin"})
                .status == 0);
    const auto session = house.open({"a", "b"});
    REQUIRE_FALSE(session);
    CHECK(session.error().kind == Error::Kind::usage);
    CHECK(house.kinds() == std::vector<std::string>{"custody.activated", "custody.refused"});
}

namespace {

/// `ceremony join` of a custodian of the house's ceremony: the files "NAME.share", "NAME.passphrase" and
/// "NAME.custodian".
void join(const House& house, const std::string& name) {
    const auto seed = random_secret(32);
    const auto file =
        make_joining_file(house.held.ceremony.roster, name, seed.view(), Held::passphrase(name).view());
    house.write(file);
    REQUIRE(write_file(house.folder.path + "/" + name + ".custodian",
                       as_view(Card{file.ceremony, name, file.keys}.to_json())));
}

Site site_of(const House& house) {
    Site site;
    site.hsm = house.plan.hsm;
    site.program = site.tool = "tsca";
    site.archive = house.plan.archive;
    site.settings = house.plan.settings;
    site.books = [&house](std::ostream&) -> Result<Site::Record> {
        auto opened = store::Archive::open(house.plan.archive);
        if (!opened) return std::move(opened).error();
        const std::shared_ptr<store::Archive> archive = std::move(*opened);
        return Site::Record([archive](const store::Event& event, const std::vector<store::Blob>& blobs) {
            const auto kept = archive->append(SystemWallClock().now(), event, blobs);
            return kept ? Done() : kept.error();
        });
    };
    return site;
}

/// What `ceremony reshare` is given: c goes, d comes.
Arguments replace_c_by_d(const House& house, const std::vector<std::string>& shares) {
    Arguments arguments;
    arguments.plan.threshold = 2;
    arguments.keep = {"a", "b"};
    arguments.cards = {house.folder.path + "/d.custodian"};
    arguments.session = house.with(shares);
    arguments.why = "c leaves";
    arguments.by = "operator 1";
    return arguments;
}

}  // namespace

TEST_CASE("at one desk: custodians are replaced, and the token is opened by those who came and stayed") {
    House house;
    join(house, "d");
    const auto site = site_of(house);
    std::ostringstream out;
    const auto few = ceremony_reshare_here(replace_c_by_d(house, {"a"}), site, false, out);
    REQUIRE_FALSE(few);
    CHECK(has(few.error().text, "but 1 share of them is given"));
    const auto stranger = ceremony_reshare_here(replace_c_by_d(house, {"a", "d"}), site, false, out);
    REQUIRE_FALSE(stranger);
    CHECK(has(stranger.error().text, "none of the custodians"));
    const auto done = ceremony_reshare_here(replace_c_by_d(house, {"c", "a"}), site, false, out);
    INFO((done ? "" : done.error().text));
    REQUIRE(done);
    CHECK(has(out.str(), "generation 2"));
    CHECK(house.open({"b", "d"}));
    CHECK(has(house.open({"a", "c"}).error().text, "none of the custodians"));
}

TEST_CASE("at one desk: a re-sharing that broke off opens nothing, until it is gone on with") {
    House house;
    join(house, "d");
    const auto& now = house.held.ceremony.roster;
    const auto of = must(successors_of(replace_c_by_d(house, {}), now));
    {
        // What a process leaves that died before the HSM did anything.
        const auto archive = must(store::Archive::open(house.plan.archive));
        const auto next = divide(now, of).roster.to_json();
        const store::Blob blob(Bytes(next.begin(), next.end()));
        store::Event event;
        event.kind = "custody.resharing";
        event.subject = now.token;
        event.text = "c leaves";
        event.blobs.push_back(blob.id());
        REQUIRE(archive->append(SystemWallClock().now(), event, {blob}));
    }
    CHECK(has(house.refusal({"a", "b"}), "broke off"));
    const auto site = site_of(house);
    std::ostringstream out;
    const auto few = ceremony_reshare_here(replace_c_by_d(house, {"a", "c"}), site, false, out);
    REQUIRE_FALSE(few);
    CHECK(has(few.error().text, "(a, b, d), generation 2, but 1 share of them is given"));
    const auto done = ceremony_reshare_here(replace_c_by_d(house, {"a", "c", "d"}), site, false, out);
    INFO((done ? "" : done.error().text));
    REQUIRE(done);
    CHECK(house.open({"b", "d"}));
}

TEST_CASE("with a pin_file there are no custodians, and without a ceremony nobody opens anything") {
    House house;
    auto plan = house.plan;
    plan.hsm.pin_file = house.folder.path + "/pin";
    REQUIRE(write_file(plan.hsm.pin_file, house.held.ceremony.pin.view(), 0600));
    {
        const auto session = must(Session::open(plan, {}, house.said));
        CHECK(session->custodians().empty());
        CHECK(session->token().keys());
        CHECK(session->close());
    }
    CHECK(house.events.empty());
    const auto both = Session::open(plan, house.with({"a", "b"}), house.said);
    REQUIRE_FALSE(both);
    CHECK(both.error().kind == Error::Kind::usage);
    plan.hsm.pin_file.clear();
    plan.hsm.token = "another";
    const auto nobody = Session::open(plan, house.with({"a", "b"}), house.said);
    REQUIRE_FALSE(nobody);
    CHECK(has(nobody.error().text, "tsca ceremony init"));
}

}  // namespace kokuin::hsm::custody
