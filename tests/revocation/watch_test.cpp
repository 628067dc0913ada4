// What is believed of what a network says about revocation, and when it is asked, with moved clocks. CRLs and
// certificates are openssl's; the network is a table.
#include "tsa/revocation_watch.h"

#include <algorithm>
#include <map>

#include "base/file.h"
#include "pki/ocsp.h"
#include "pki/pointers.h"
#include "tac/gate.h"
#include "tests/clock/world.h"
#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace std::chrono_literals;
using State = pki::SingleResponse::State;

namespace {

const std::string ocsp_url = "http://ocsp.example:80/ask";
const std::string crl_url = "http://crl.example:80/ca.crl";

/// A CA, another one of the same name, TSUs of the first, and responders.
const workshop::Folder& folder() {
    static const workshop::Folder made;
    static const bool done = [] {
        made.root("ca");
        made.must("mkdir other");
        made.must(
            "cd other && openssl req -x509 -newkey rsa:2048 -nodes -keyout ../rogue.key -out ../rogue.pem "
            "-subj "
            "'/C=JP/O=Kokuin Test/CN=ca' -days 3650 -addext basicConstraints=critical,CA:TRUE -addext "
            "keyUsage=critical,keyCertSign,cRLSign");
        const auto access =
            "\nauthorityInfoAccess=caIssuers;URI:http://x/,OCSP;URI:ldap://y/,OCSP;URI:" + ocsp_url;
        const auto points = "\ncrlDistributionPoints=URI:" + crl_url;
        made.issue("both", "ca", workshop::tsu_extensions + access + points);
        made.issue("ocsp", "ca", workshop::tsu_extensions + access);
        made.issue("crl", "ca", workshop::tsu_extensions + points);
        made.issue("silent", "ca", workshop::tsu_extensions);
        made.issue("checked", "ca", "extendedKeyUsage=OCSPSigning\nnoCheck=ignored");
        made.issue("unchecked", "ca", "extendedKeyUsage=OCSPSigning");
        return true;
    }();
    REQUIRE(done);
    return made;
}

WallTime today() {
    static const WallTime moment = std::chrono::floor<seconds>(SystemWallClock().now()) + 1h;
    return moment;
}

/// As openssl ca writes and takes times.
std::string openssl_time(WallTime time) {
    return to_generalized_time(std::chrono::floor<seconds>(time), 0);
}

struct Answer {
    std::string of = "ocsp";
    State state = State::good;
    WallTime at = today();
    std::optional<nanoseconds> lasts = 24h;
    std::string signer = "ca";
    std::string issuer = "ca";  // that the answer names
};

Bytes ocsp(const Answer& wanted) {
    const auto signer = folder().certificate(wanted.signer);
    pki::OcspAnswer answer;
    answer.responder_name = signer.subject_der();
    answer.produced_at = wanted.at;
    pki::SingleResponse one;
    one.id = pki::CertId::of(folder().certificate(wanted.of), folder().certificate(wanted.issuer),
                             pki::Hash::sha1);
    one.state = wanted.state;
    one.this_update = wanted.at;
    if (wanted.state == State::revoked) one.revoked_at = wanted.at - 1min;
    if (wanted.lasts) one.next_update = wanted.at + *wanted.lasts;
    answer.responses.push_back(one);
    std::vector<pki::Certificate> certificates;
    if (wanted.signer != "ca" && wanted.signer != "rogue") certificates.push_back(signer);
    const auto made = pki::make_ocsp_response(
        answer, pki::Hash::sha256,
        [&](pki::Hash hash, View message) -> Result<Bytes> {
            return folder().sign(wanted.signer, hash, message);
        },
        certificates);
    REQUIRE(made);
    return *made;
}

/// A list of `issuer`, which must have made none before that matters: each has an index of its own.
Bytes crl(const std::string& revoke = "", WallTime at = today(), nanoseconds lasts = 24h,
          const std::string& issuer = "ca", const std::string& more = "") {
    static int number = 0;
    const auto own = "list" + std::to_string(++number);
    folder().must("cp " + issuer + ".pem " + own + ".pem && cp " + issuer + ".key " + own + ".key");
    folder().crl(
        own, own, revoke, "keyCompromise",
        "-crl_lastupdate " + openssl_time(at) + " -crl_nextupdate " + openssl_time(at + lasts) + more);
    folder().must("openssl crl -in " + own + ".crl -outform DER -out " + own + ".der");
    const auto text = folder().read(own + ".der");
    return {text.begin(), text.end()};
}

struct House {
    world::World world{today()};
    workshop::Folder own;
    std::map<std::string, Bytes> network;  // what lies at a URL; nothing: nobody answers
    std::vector<std::string> asked;
    tsa::RevocationSettings settings{false, 10h, 1h, 5s, own.at("cache"), {}};
    std::unique_ptr<tsa::RevocationWatch> watch;

    explicit House(bool hard = false) {
        settings.hard = hard;
        start();
    }
    void start() {
        auto made = tsa::RevocationWatch::make(
            settings, world.clock(),
            [this](const net::Url& url, const net::Call& call) -> Result<net::Response> {
                CHECK(url.path == call.path);
                const auto where = "http://" + url.host + ":" + std::to_string(url.port) + url.path;
                asked.push_back(where);
                const auto found = network.find(where);
                if (found == network.end()) return Error::environment(where + ": connection refused");
                return net::Response::octets(200, "application/octet-stream", found->second);
            });
        REQUIRE(made);
        watch = std::move(*made);
    }
    tsa::PathRevocation judge(const std::string& name, const pki::Crls* files = nullptr) {
        return watch->judge({folder().certificate(name), folder().certificate("ca")}, files);
    }
    /// "good", "revoked", "unknown", or "closed".
    std::string state(const std::string& name) {
        const auto seen = judge(name);
        if (seen.revoked) return "revoked";
        if (seen.closed) return "closed";
        return seen.unknown.empty() ? "good" : "unknown";
    }
    /// How many requests a tick makes.
    std::size_t tick() {
        asked.clear();
        watch->tick();
        return asked.size();
    }
    /// Whether what lies at the URL now makes a certificate good or revoked that nothing is known of.
    std::string told(const std::string& name) {
        House fresh;
        fresh.network = network;
        (void)fresh.state(name);
        (void)fresh.tick();
        const auto state = fresh.state(name);
        if (state == "unknown") why = fresh.judge(name).unknown.front().text;
        return state;
    }
    std::string why;
};

}  // namespace

TEST_CASE("a certificate says where one can ask") {
    const auto both = pki::pointers_of(folder().certificate("both"));
    CHECK(both.ocsp == std::vector<std::string>{"ldap://y/", ocsp_url});
    CHECK(both.crls == std::vector<std::string>{crl_url});
    CHECK(pki::pointers_of(folder().certificate("silent")).ocsp.empty());
    CHECK(pki::pointers_of(folder().certificate("silent")).crls.empty());
}

TEST_CASE(
    "fetched anew once in `every`, earlier before an answer ends, and with growing rests after failures") {
    House house;
    CHECK(house.tick() == 0);  // nobody has asked
    CHECK(house.state("ocsp") == "unknown");
    CHECK(house.judge("ocsp").unknown.front().asked == false);
    nanoseconds rest = 10s;
    CHECK(house.tick() == 1);
    CHECK(house.judge("ocsp").unknown.front().asked);
    for (int i = 0; i < 12; ++i) {
        house.world.advance(rest - 1s);
        CHECK(house.tick() == 0);
        house.world.advance(1s);
        CHECK(house.tick() == 1);
        rest = std::min<nanoseconds>(2 * rest, 1h);
    }
    CHECK(rest == 1h);
    house.world.advance(1h);
    house.network[ocsp_url] = ocsp({.at = house.world.utc(), .lasts = 40h});
    CHECK(house.tick() == 1);
    CHECK(house.state("ocsp") == "good");
    house.world.advance(59min);
    CHECK(house.tick() == 0);
    house.world.advance(1min);
    house.network[ocsp_url] = ocsp({.at = house.world.utc(), .lasts = 20min});
    CHECK(house.tick() == 1);
    house.world.advance(14min);
    CHECK(house.tick() == 0);
    house.world.advance(1min + 1s);
    CHECK(house.tick() == 1);
    // Nobody asks any more.
    house.world.advance(25h);
    CHECK(house.tick() == 0);
}

TEST_CASE("soft: goes on for the grace past the last good answer, or past the first question") {
    House house;
    CHECK(house.state("ocsp") == "unknown");
    house.world.advance(10h - 1s);
    CHECK(house.state("ocsp") == "unknown");
    house.world.advance(2s);
    CHECK(house.state("ocsp") == "closed");
    house.network[ocsp_url] = ocsp({.at = house.world.utc(), .lasts = 2h});
    house.watch->tick();
    CHECK(house.state("ocsp") == "good");
    const auto end = std::chrono::floor<seconds>(house.world.utc()) + 2h;
    CHECK(*house.judge("ocsp").closes_at >= end + 10h - 1s);
    CHECK(*house.judge("ocsp").closes_at <= end + 10h);
    house.network.clear();
    house.world.advance(2h + 1s);
    CHECK(house.state("ocsp") == "unknown");
    house.world.advance(10h - 2s);
    CHECK(house.state("ocsp") == "unknown");
    house.world.advance(2s);
    CHECK(house.state("ocsp") == "closed");
    CHECK_FALSE(house.judge("ocsp").closes_at);
}

TEST_CASE("hard: closed until the first answer, and again from the end of the last one") {
    House house(true);
    CHECK(house.state("ocsp") == "closed");
    house.network[ocsp_url] = ocsp({.at = house.world.utc(), .lasts = 2h});
    house.watch->tick();
    CHECK(house.state("ocsp") == "good");
    house.network.clear();
    house.world.advance(2h - 1s);
    CHECK(house.state("ocsp") == "good");
    house.world.advance(2s);
    CHECK(house.state("ocsp") == "closed");
    CHECK(house.judge("ocsp").closed->find("the last answer ended on") != std::string::npos);
    CHECK(house.state("silent") == "closed");
    CHECK(house.judge("silent").closed->find("[revocation.issuer.NAME]") != std::string::npos);
}

TEST_CASE("an answer without an end counts for two rounds") {
    House house(true);
    (void)house.state("ocsp");
    house.network[ocsp_url] = ocsp({.lasts = std::nullopt});
    house.watch->tick();
    CHECK(house.state("ocsp") == "good");
    house.world.advance(2h);
    CHECK(house.state("ocsp") == "good");
    house.world.advance(6s);
    CHECK(house.state("ocsp") == "closed");
}

TEST_CASE("revoked until a newer answer says otherwise; an older one never replaces a newer one") {
    House house;
    (void)house.state("ocsp");
    const auto old = ocsp({.lasts = 40h});
    house.network[ocsp_url] = old;
    house.watch->tick();
    house.world.advance(1h);
    house.network[ocsp_url] = ocsp({.state = State::revoked, .at = house.world.utc(), .lasts = 40h});
    house.watch->tick();
    CHECK(house.state("ocsp") == "revoked");
    CHECK(house.judge("ocsp").revoked->find("is revoked since") != std::string::npos);
    house.network[ocsp_url] = old;  // still inside its life
    house.world.advance(1h);
    CHECK(house.tick() == 1);
    CHECK(house.state("ocsp") == "revoked");
    CHECK(house.watch->snapshot().front().trouble.find("is older than the one of") != std::string::npos);
    // Also when its time is over, and nobody answers any more.
    house.network.clear();
    house.world.advance(50h);
    house.watch->tick();
    CHECK(house.state("ocsp") == "revoked");
    house.network[ocsp_url] = ocsp({.at = house.world.utc()});
    (void)house.state("ocsp");
    house.world.advance(1h);
    house.watch->tick();
    CHECK(house.state("ocsp") == "good");
}

TEST_CASE("what can't be believed changes nothing") {
    House house;
    const auto good = ocsp({});
    struct Lie {
        const char* what;
        Bytes octets;
        const char* why;
    };
    Bytes damaged = good;
    damaged[damaged.size() / 2] ^= 1;
    const std::vector<Lie> lies{
        {"another CA of the same name", ocsp({.signer = "rogue"}), "isn't signed by"},
        {"another certificate of the CA, not made for it", ocsp({.signer = "both"}),
         "isn't made for signing OCSP"},
        {"about another certificate", ocsp({.of = "both"}), "says nothing of"},
        {"about another CA's certificate", ocsp({.issuer = "rogue"}), "says nothing of"},
        {"old", ocsp({.at = today() - 50h}), "ended on"},
        {"of the future", ocsp({.at = today() + 1h}), "is of the future"},
        {"knows nothing", ocsp({.state = State::unknown}), "doesn't know"},
        {"says only that it has no time", pki::ocsp_refusal(pki::OcspStatus::try_later), "says only: "},
        {"a page", Bytes{'<', 'h', 't', 'm', 'l', '>'}, ""},
        {"nothing", Bytes{}, ""},
        {"damaged", damaged, ""},
        {"cut", Bytes(good.begin(), good.end() - 1), ""},
        {"revoked, says another CA", ocsp({.state = State::revoked, .signer = "rogue"}), "isn't signed by"},
    };
    for (const auto& lie : lies) {
        INFO(lie.what);
        house.network[ocsp_url] = lie.octets;
        CHECK(house.told("ocsp") == "unknown");
        CHECK(house.why.find(lie.why) != std::string::npos);
        INFO(house.why);
        CHECK(house.why.find(ocsp_url) != std::string::npos);
    }
    house.network[ocsp_url] = good;
    CHECK(house.told("ocsp") == "good");
    house.network[ocsp_url] = ocsp({.signer = "checked"});
    CHECK(house.told("ocsp") == "good");
}

TEST_CASE("a responder that may be revoked itself is looked for in its issuer's list") {
    House house;
    house.network[ocsp_url] = ocsp({.of = "both", .signer = "unchecked"});
    CHECK(house.told("both") == "unknown");
    CHECK(house.why.find("id-pkix-ocsp-nocheck") != std::string::npos);
    house.network[crl_url] = crl();
    CHECK(house.told("both") == "good");
    house.network[ocsp_url] = ocsp({.of = "both", .state = State::revoked, .signer = "unchecked"});
    CHECK(house.told("both") == "revoked");
    house.network[crl_url] = crl("unchecked");
    CHECK(house.told("both") == "good");  // by the list itself
}

TEST_CASE("lists: where there is no responder, or none with a good answer") {
    House house;
    house.network[crl_url] = crl();
    CHECK(house.told("crl") == "good");
    CHECK(house.told("both") == "good");
    CHECK(house.told("silent") == "unknown");
    house.network[crl_url] = crl("crl");
    CHECK(house.told("crl") == "revoked");
    CHECK(house.told("both") == "good");
    for (const auto& [octets, why] : {std::pair{crl("", today(), 24h, "rogue"), "isn't signed by"},
                                      {crl("crl", today(), 24h, "rogue"), "isn't signed by"},
                                      {crl("", today() - 50h), "ended on"},
                                      {crl("", today() + 1h), "is of the future"},
                                      {crl("crl", today() + 1h), "is of the future"},
                                      {Bytes{0x30, 0x00}, "no CRL"}}) {
        house.network[crl_url] = octets;
        CHECK(house.told("crl") == "unknown");
        INFO(house.why);
        CHECK(house.why.find(why) != std::string::npos);
    }
    // What a list has called revoked, a responder doesn't make good.
    House other;
    (void)other.state("both");
    other.network[crl_url] = crl("both");
    other.watch->tick();
    CHECK(other.state("both") == "revoked");
    other.network[ocsp_url] = ocsp({.of = "both", .at = today()});
    other.world.advance(1h);
    CHECK(other.tick() == 2);
    CHECK(other.state("both") == "revoked");
    other.network[crl_url] = crl("", other.world.utc());
    other.world.advance(1h);
    other.watch->tick();
    CHECK(other.state("both") == "good");
    // One list for two certificates is fetched once.
    House two;
    two.network[crl_url] = crl();
    (void)two.state("crl");
    (void)two.judge("both");
    (void)two.tick();
    CHECK(std::count(two.asked.begin(), two.asked.end(), crl_url) == 1);
}

TEST_CASE("lists that leave something out don't call anything good") {
    House house;
    for (const auto& [point, good] :
         {std::pair{"p", false}, {"u", true}, {"a", false}, {"c", false}, {"r", false}}) {
        INFO(point);
        // openssl ca takes the extensions of a list from its own configuration.
        static int number = 0;
        const auto own = "part" + std::to_string(++number);
        folder().must("cp ca.pem " + own + ".pem && cp ca.key " + own + ".key");
        folder().crl(own, own);
        std::ofstream(folder().at(own + ".cnf"), std::ios::app)
            << "crl_extensions=e\n[e]\nissuingDistributionPoint=critical,@" << point
            << "\n[p]\nfullname=URI:http://elsewhere/\n[u]\nfullname=URI:" << crl_url
            << "\nonlyuser=TRUE\n[a]\nonlyAA=TRUE\n[c]\nonlyCA=TRUE\n[r]\nonlysomereasons=superseded\n";
        folder().crl(own, own, "", "", "-crldays 2");
        folder().must("openssl crl -in " + own + ".crl -outform DER -out " + own + ".der");
        const auto text = folder().read(own + ".der");
        house.network[crl_url] = Bytes(text.begin(), text.end());
        CHECK(house.told("crl") == (good ? "good" : "unknown"));
        // What they do name is revoked.
        folder().crl(own, own, "crl", "keyCompromise", "-crldays 2");
        folder().must("openssl crl -in " + own + ".crl -outform DER -out " + own + ".der");
        const auto named = folder().read(own + ".der");
        house.network[crl_url] = Bytes(named.begin(), named.end());
        CHECK(house.told("crl") == "revoked");
    }
}

TEST_CASE("a restart goes on with what the cache holds, judged anew") {
    House house(true);
    house.network[ocsp_url] = ocsp({.state = State::revoked});
    house.network[crl_url] = crl("", today(), 2h);
    (void)house.state("ocsp");
    (void)house.state("crl");
    house.watch->tick();
    house.network.clear();
    house.start();
    CHECK(house.state("ocsp") == "revoked");
    CHECK(house.state("crl") == "good");
    // An ended one still says until when something was known.
    house.world.advance(2h + 1s);
    house.start();
    CHECK(house.state("crl") == "closed");
    house.settings.hard = false;
    house.start();
    CHECK(house.state("crl") == "unknown");
    CHECK(house.state("ocsp") == "revoked");
    house.world.advance(10h);
    house.start();
    CHECK(house.state("crl") == "closed");
    // Nothing is believed for lying there.
    for (const auto& one : std::filesystem::directory_iterator(house.settings.cache)) {
        const auto lie = one.path().extension() == ".crl"
                             ? crl("", house.world.utc(), 24h, "rogue")
                             : ocsp({.at = house.world.utc(), .signer = "rogue"});
        REQUIRE(write_file(one.path().string(), lie));
    }
    house.settings.hard = true;
    house.start();
    CHECK(house.state("crl") == "closed");
    CHECK(house.state("ocsp") == "closed");
    CHECK(house.judge("crl").closed->find("its issuer is being asked") != std::string::npos);
}

TEST_CASE("where certificates say nothing the configuration does, and files count too") {
    House house(true);
    house.settings.sources = {{"ca", folder().at("ca.pem"), "", crl_url}};
    house.network[crl_url] = crl();
    house.start();
    CHECK(house.state("silent") == "closed");
    house.watch->tick();
    CHECK(house.state("silent") == "good");

    House files(true);
    const auto list = pki::Crl::from_der(crl("", today(), 2h));
    const auto named = pki::Crl::from_der(crl("silent", today(), 2h));
    REQUIRE((list && named));
    const pki::Crls good{*list};
    const pki::Crls bad{*named};
    CHECK_FALSE(files.judge("silent", &good).closed);
    CHECK(files.judge("silent", &bad).revoked);
    files.world.advance(2h + 1s);
    CHECK(files.judge("silent", &good).closed);
}

TEST_CASE("the gate names the cause, and it isn't time") {
    world::World world(today());
    tac::Gate gate{{today() - 1h, today() + 1000h}};
    const auto decide = [&](bool require_tac) {
        tac::Demand demand;
        demand.require_tac = require_tac;
        return std::get<tac::Closed>(gate.decide(world.read(), demand));
    };
    CHECK(decide(true).cause == tac::Cause::no_tac);
    gate.set_unknown("nobody knows", std::nullopt);
    for (const bool require_tac : {true, false}) {
        CHECK(decide(require_tac).cause == tac::Cause::unheard);
        CHECK_FALSE(decide(require_tac).time_not_available);
        CHECK(decide(require_tac).text == "nobody knows");
    }
    CHECK(tac::name(tac::Cause::unheard) == "revocation-unknown");
    gate.set_unknown(std::nullopt, "nobody knows of the TAA");
    CHECK(decide(true).cause == tac::Cause::unheard);
    CHECK(decide(false).cause == tac::Cause::no_reference);
    gate.set_revoked("it is");
    CHECK(decide(true).cause == tac::Cause::key_revoked);
}

TEST_CASE("the table [revocation]") {
    const auto read = [](const std::string& text) {
        auto document = config::Document::parse("[revocation]\n" + text, "/etc/kokuin/tsad.toml");
        REQUIRE(document);
        auto table = document->root().maybe_table("revocation");
        REQUIRE(table);
        auto settings = tsa::read_revocation(*table);
        return std::pair{settings, document->problems()};
    };
    const auto [usual, none] = read("");
    CHECK(none.empty());
    CHECK_FALSE(usual.hard);
    CHECK(usual.grace == 24h);
    CHECK(usual.every == 1h);
    CHECK(usual.cache == "/etc/kokuin/revocation");
    const auto [own, fine] =
        read("mode = \"hard\"\n[revocation.issuer.root]\ncertificate = \"root.pem\"\ncrl = \"http://a/b\"\n");
    CHECK(fine.empty());
    CHECK(own.hard);
    CHECK(own.sources.at(0).crl == "http://a/b");
    for (const auto* wrong : {"mode = \"hard\"\ngrace = \"1h\"\n", "mode = \"off\"\n", "every = \"10ms\"\n",
                              "[revocation.issuer.root]\ncertificate = \"root.pem\"\n",
                              "[revocation.issuer.root]\ncertificate = \"root.pem\"\ncrl = \"https://a/b\"\n",
                              "[revocation.issuer.root]\ncrl = \"http://a/b\"\n"}) {
        INFO(wrong);
        CHECK(read(wrong).second.size() == 1);
    }
}
