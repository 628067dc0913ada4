// A TSU's next certificate: which are taken, and what the admission makes of one that was.
#include "taa/successors.h"

#include "taa/admission.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;

namespace {

template <typename T>
T must(Result<T> result) {
    INFO((result.ok() ? std::string() : result.error().text));
    REQUIRE(result.ok());
    return std::move(result).value();
}
void must(Done done) {
    INFO((done.ok() ? std::string() : done.error().text));
    REQUIRE(done.ok());
}

pki::Certificate of(const std::string& path) {
    return must(pki::load_certificates(path)).front();
}

/// The next certificate of the town's TSU, and two that are none. Not copyable: it owns the folder.
struct Desk {
    workshop::Folder place;
    TsuSettings tsu;
    SystemWallClock wall;

    Desk() {
        tsu.name = "tsu-1";
        tsu.called = "tsu-1";
        tsu.peer = town::tsu_name;
        tsu.certificate = town::folder().at("tsu.pem");
        tsu.successors = town::folder().at("root.pem");
        const auto subject =
            must_run("openssl x509 -in " + tsu.certificate + " -noout -subject -nameopt compat");
        const auto name = subject.substr(subject.find('/'), subject.find('\n') - subject.find('/'));
        issue("next", name);
        issue("other-name", "/CN=another");
    }
    static std::string must_run(const std::string& command) { return town::folder().must(command); }
    void issue(const std::string& name, const std::string& subject) const {
        place.must("openssl req -new -newkey rsa:2048 -nodes -keyout k -out r -subj '" + subject +
                   "' 2>/dev/null && printf 'extendedKeyUsage=critical,timeStamping\n' > e && openssl x509 "
                   "-req -in r -CA " +
                   town::folder().at("root.pem") + " -CAkey " + town::folder().at("root.key") +
                   " -days 30 -extfile e -out " + name + ".pem 2>/dev/null");
    }
    [[nodiscard]] pki::Certificate made(const std::string& name) const { return of(place.at(name + ".pem")); }
    Done show(Successors& successors, View der) const {
        return successors.show(tsu, of(tsu.certificate), der, wall.now());
    }
};

}  // namespace

TEST_CASE("a successor of the same name under the table's CA waits once; others are refused by name",
          "[successors]") {
    Desk desk;
    Successors successors;
    const auto refused = [&](View der) {
        const auto done = desk.show(successors, der);
        REQUIRE_FALSE(done);
        CHECK(done.error().kind == Error::Kind::no);
        CHECK_FALSE(successors.take("tsu-1"));
        return done.error().text;
    };
    CHECK(refused(Bytes{1, 2, 3}).find("can't be read") != std::string::npos);
    CHECK(refused(desk.made("other-name").der()).find("the same name") != std::string::npos);
    CHECK(refused(of(town::folder().at("channel-tsu.pem")).der()).find("the same name") != std::string::npos);
    must(desk.show(successors, desk.made("next").der()));
    CHECK_FALSE(successors.take("tsu-2"));
    CHECK(successors.take("tsu-1") == desk.made("next"));
    CHECK_FALSE(successors.take("tsu-1"));
    // The one that is audited already is no news.
    must(desk.show(successors, of(desk.tsu.certificate).der()));
    CHECK_FALSE(successors.take("tsu-1"));
    desk.tsu.successors.clear();
    CHECK(refused(desk.made("next").der()).find("looked at by the TAA's operators") != std::string::npos);
    desk.tsu.successors = desk.place.at("nothing.pem");
    const auto broken = desk.show(successors, desk.made("next").der());
    REQUIRE_FALSE(broken);
    CHECK(broken.error().kind == Error::Kind::environment);
}

TEST_CASE("a successor is served instead, also after a restart with the old configuration", "[successors]") {
    Desk desk;
    const auto dir = desk.place.at("archive");
    must(store::Archive::create(dir, desk.wall.now()));
    const auto next = desk.made("next");
    const auto old = of(desk.tsu.certificate);
    const auto open = [&](store::Archive& archive, const pki::Certificate& configured) {
        net::ClientOptions nowhere;
        nowhere.host = "127.0.0.1";
        nowhere.port = 1;
        return must(
            Admissions::open(archive, desk.wall, {{desk.tsu, configured, must(net::Client::make(nowhere))}}));
    };
    {
        const auto archive = must(store::Archive::open(dir));
        const auto admissions = open(*archive, old);
        CHECK(admissions->refusal("tsu-1"));
        (void)must(admissions->take({Step::admit, "tsu-1", "why", "by", "root", identity_of(desk.tsu, old)}));
        CHECK_FALSE(admissions->refusal("tsu-1"));
        // Audited it is not yet served: only when the TSU says that it signs with it.
        CHECK_FALSE(must(admissions->succeed("tsu-1", next.sha256())));
        CHECK(must(admissions->audited_successor("tsu-1", next)));
        CHECK(admissions->certificate("tsu-1") == old);
        const auto records = archive->state().next;
        CHECK_FALSE(must(admissions->audited_successor("tsu-1", next)));  // already
        CHECK(archive->state().next == records);
    }
    {
        // Also if it says so after a restart; not while it isn't served.
        const auto archive = must(store::Archive::open(dir));
        const auto admissions = open(*archive, old);
        (void)must(admissions->take({Step::suspend, "tsu-1", "why", "by", "root"}));
        CHECK_FALSE(must(admissions->succeed("tsu-1", next.sha256())));
        (void)must(admissions->take({Step::resume, "tsu-1", "why", "by", "root"}));
        CHECK_FALSE(must(admissions->succeed("tsu-1", desk.made("other-name").sha256())));
        CHECK(must(admissions->succeed("tsu-1", next.sha256())));
        CHECK(admissions->certificate("tsu-1") == next);
        CHECK_FALSE(admissions->refusal("tsu-1"));
        CHECK(admissions->is_predecessor("tsu-1", old.sha256()));
        CHECK_FALSE(admissions->is_predecessor("tsu-1", next.sha256()));
        CHECK_FALSE(must(admissions->succeed("tsu-1", next.sha256())));  // already
        const auto event =
            std::get<store::Event>(must(archive->latest_event("tsu.succeeded", "tsu-1"))->body);
        CHECK(std::get<std::string>(event.fields.at("predecessor")) == to_hex(old.sha256()));
    }
    for (const auto& configured : {old, next}) {
        const auto archive = must(store::Archive::open(dir));
        const auto admissions = open(*archive, configured);
        CHECK(admissions->certificate("tsu-1") == next);
        CHECK_FALSE(admissions->refusal("tsu-1"));
        // Looked at again, it is still the successor that is meant.
        (void)must(admissions->take(
            {Step::review, "tsu-1", "yearly", "by", "root", identity_of(desk.tsu, configured)}));
        CHECK(admissions->certificate("tsu-1") == next);
        CHECK_FALSE(admissions->refusal("tsu-1"));
    }
    // A certificate that neither was looked at nor followed one that was.
    const auto archive = must(store::Archive::open(dir));
    const auto admissions = open(*archive, desk.made("other-name"));
    REQUIRE(admissions->refusal("tsu-1"));
    CHECK(admissions->refusal("tsu-1")->find("its certificate") != std::string::npos);
}

TEST_CASE("a compromised key gets no TAC any more, its successor does, also after a restart",
          "[successors]") {
    Desk desk;
    const auto dir = desk.place.at("archive");
    must(store::Archive::create(dir, desk.wall.now()));
    const auto next = desk.made("next");
    const auto old = of(desk.tsu.certificate);
    const auto open = [&](store::Archive& archive) {
        net::ClientOptions nowhere;
        nowhere.host = "127.0.0.1";
        nowhere.port = 1;
        return must(
            Admissions::open(archive, desk.wall, {{desk.tsu, old, must(net::Client::make(nowhere))}}));
    };
    {
        const auto archive = must(store::Archive::open(dir));
        const auto admissions = open(*archive);
        (void)must(admissions->take({Step::admit, "tsu-1", "why", "by", "root", identity_of(desk.tsu, old)}));
        const auto unknown = admissions->compromised("tsu-1", next.sha256(), "not known yet");
        REQUIRE_FALSE(unknown);
        CHECK(unknown.error().kind == Error::Kind::no);
        CHECK_FALSE(admissions->refusal("tsu-1", old.sha256()));
        CHECK(must(admissions->compromised("tsu-1", old.sha256(), "the rack stood open")));
        CHECK_FALSE(must(admissions->compromised("tsu-1", old.sha256(), "again")));
        // It is still talked with, so that it can say that it signs with another one.
        CHECK_FALSE(admissions->refusal("tsu-1"));
        CHECK_FALSE(admissions->refusal("tsu-1", next.sha256()));
        REQUIRE(admissions->refusal("tsu-1", old.sha256()));
    }
    const auto archive = must(store::Archive::open(dir));
    const auto admissions = open(*archive);
    const auto why = admissions->refusal("tsu-1", old.sha256());
    REQUIRE(why);
    CHECK(why->find(to_hex(old.sha256()).substr(0, 16)) != std::string::npos);
    // Nor is it admitted into use again by looking at it.
    (void)must(admissions->take({Step::review, "tsu-1", "yearly", "by", "root", identity_of(desk.tsu, old)}));
    CHECK(admissions->refusal("tsu-1", old.sha256()));
    CHECK(must(admissions->audited_successor("tsu-1", next)));
    CHECK(must(admissions->succeed("tsu-1", next.sha256())));
    CHECK_FALSE(admissions->refusal("tsu-1", next.sha256()));
    CHECK(admissions->refusal("tsu-1", old.sha256()));
}

TEST_CASE("an operator takes a succession back by admitting the certificate before anew", "[successors]") {
    Desk desk;
    const auto dir = desk.place.at("archive");
    must(store::Archive::create(dir, desk.wall.now()));
    const auto next = desk.made("next");
    const auto old = of(desk.tsu.certificate);
    for (int start = 0; start < 2; ++start) {
        const auto archive = must(store::Archive::open(dir));
        net::ClientOptions nowhere;
        nowhere.host = "127.0.0.1";
        nowhere.port = 1;
        const auto admissions =
            must(Admissions::open(*archive, desk.wall, {{desk.tsu, old, must(net::Client::make(nowhere))}}));
        if (start == 0) {
            const auto identity = identity_of(desk.tsu, old);
            (void)must(admissions->take({Step::admit, "tsu-1", "why", "by", "root", identity}));
            CHECK(must(admissions->audited_successor("tsu-1", next)));
            CHECK(must(admissions->succeed("tsu-1", next.sha256())));
            (void)must(admissions->take({Step::remove, "tsu-1", "its successor is bad", "by", "root"}));
            (void)must(admissions->take({Step::admit, "tsu-1", "the one before", "by", "root", identity}));
        }
        CHECK(admissions->certificate("tsu-1") == old);
        CHECK_FALSE(admissions->refusal("tsu-1"));
        CHECK_FALSE(must(admissions->succeed("tsu-1", next.sha256())));
    }
}
