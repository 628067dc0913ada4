#include "taa/requests.h"

#include <catch2/catch.hpp>

#include "base/net/client.h"
#include "base/net/server.h"
#include "tac/exchange.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

/// The channel listener of a TAA with two TSUs, of two TSAs that both say "tsu-1".
struct Listener {
    Listener() {
        TsuSettings mine;
        mine.name = "minato-1";
        mine.called = "tsu-1";
        mine.peer = "TSU.audit.kokuin.example";  // names compare without case
        TsuSettings foreign = mine;
        foreign.name = "osaka-1";
        foreign.peer = "other.example";
        auto router = std::make_shared<net::Router>();
        add_request_route(
            *router, {foreign, mine}, {1h, 1min, 10s},
            [this](const std::string&, View) {
                const std::lock_guard lock(mutex);
                return refusal;
            },
            [this](const TsuSettings& tsu, View certificate) {
                const std::lock_guard lock(mutex);
                shown.emplace_back(tsu.name, as_text(certificate));
                return show;
            },
            [this](const std::string& tsu) -> std::optional<Timetable::Answer> {
                const std::lock_guard lock(mutex);
                asked.push_back(tsu);
                return answer;
            });
        add_notice_route(*router, {foreign, mine},
                         [this](const TsuSettings& tsu, View certificate, const std::string& text) {
                             const std::lock_guard lock(mutex);
                             told.push_back(tsu.name + " " + to_hex(certificate).substr(0, 4) + " " + text);
                             return tell;
                         });
        net::ServerOptions options;
        options.tls = net::ServerTls{town::folder().at("channel-taa.pem"),
                                     town::folder().at("channel-taa.key"), town::folder().at("root.pem")};
        server = std::make_unique<net::Server>(options, router);
        REQUIRE(server->start());
    }

    Result<net::Response> post(const std::string& body, const std::string& as = "channel-tsu",
                               const std::string& type = "application/json",
                               const std::string& path = "/audit/request") {
        net::ClientOptions options;
        options.host = "127.0.0.1";
        options.port = server->port();
        options.tls = net::ClientTls{town::folder().at("root.pem"), town::taa_name,
                                     town::folder().at(as + ".pem"), town::folder().at(as + ".key")};
        auto client = net::Client::make(options);
        REQUIRE(client);
        net::Call call;
        call.method = "POST";
        call.path = path;
        call.content_type = type;
        call.body = Bytes(as_view(body).begin(), as_view(body).end());
        return client->request(call, 10s);
    }

    std::mutex mutex;
    std::vector<std::string> asked;
    std::vector<std::pair<std::string, std::string>> shown;
    Done show;
    std::vector<std::string> told;
    Done tell;
    std::optional<std::string> refusal;
    std::optional<Timetable::Answer> answer = Timetable::Answer{false, 2500ms};
    std::unique_ptr<net::Server> server;
};

std::string asking(const std::string& tsu) {
    return tac::AuditRequest{tsu, "the bound runs out"}.to_json();
}

}  // namespace

TEST_CASE("a TSU may ask for its own audit", "[requests]") {
    Listener listener;
    const auto response = listener.post(asking("tsu-1"));
    INFO((response ? as_text(response->body) : response.error().text));
    REQUIRE(response);
    REQUIRE(response->status == 200);
    const auto answer = tac::AuditAnswer::from_json(as_text(response->body));
    REQUIRE(answer);
    CHECK(answer->accepted);
    CHECK(answer->retry_after == 13s);
    CHECK(listener.asked == std::vector<std::string>{"minato-1"});
}

TEST_CASE("nobody asks for another's audit, or without a certificate of ours", "[requests]") {
    Listener listener;
    const auto unknown = listener.post(asking("tsu-2"));
    REQUIRE(unknown);
    CHECK(unknown->status == 403);
    const auto stranger = listener.post(asking("tsu-1"), "channel-stranger");
    REQUIRE(stranger);
    CHECK(stranger->status == 403);
    CHECK_FALSE(listener.post(asking("tsu-1"), "channel-foreign"));
    CHECK(listener.asked.empty());
}

TEST_CASE("a TSU that isn't served is told so, and not why", "[requests]") {
    Listener listener;
    listener.refusal = "minato-1 is suspended since then (a secret)";
    const auto response = listener.post(asking("tsu-1"));
    REQUIRE(response);
    CHECK(response->status == 403);
    CHECK(as_text(response->body).find("isn't served at present") != std::string::npos);
    CHECK(as_text(response->body).find("secret") == std::string::npos);
    CHECK(listener.asked.empty());
}

TEST_CASE("what can't be read is 400 or 415", "[requests]") {
    Listener listener;
    for (const std::string body :
         {"", "{}", "[]", R"({"tsu": 1, "why": ""})", R"({"tsu": "tsu-1", "why": "", "x": 1})"}) {
        const auto response = listener.post(body);
        REQUIRE(response);
        CHECK(response->status == 400);
    }
    const auto response = listener.post(asking("tsu-1"), "channel-tsu", "text/plain");
    REQUIRE(response);
    CHECK(response->status == 415);
    CHECK(listener.asked.empty());
}

TEST_CASE("a TSU shows its next certificate, and is told why it isn't taken", "[requests]") {
    Listener listener;
    auto request = tac::AuditRequest{"tsu-1", "rotation", {1, 2, 3}}.to_json();
    const auto taken = listener.post(request);
    REQUIRE(taken);
    CHECK(taken->status == 200);
    CHECK(listener.shown == std::vector<std::pair<std::string, std::string>>{{"minato-1", "\1\2\3"}});
    CHECK(listener.asked == std::vector<std::string>{"minato-1"});
    listener.show = Error::no("another name");
    const auto refused = listener.post(request);
    REQUIRE(refused);
    CHECK(refused->status == 403);
    CHECK(as_text(refused->body).find("another name") != std::string::npos);
    // Whatever is wrong here is nobody else's business.
    listener.show = Error::environment("/etc/secret/ca.pem can't be read");
    const auto broken = listener.post(request);
    REQUIRE(broken);
    CHECK(broken->status == 503);
    CHECK(as_text(broken->body).find("secret") == std::string::npos);
    // Not served is said first.
    listener.refusal = "suspended";
    REQUIRE(listener.post(request));
    CHECK(listener.shown.size() == 3);
    CHECK(listener.asked.size() == 1);
}

TEST_CASE("a TSU says that its key is compromised, also one that isn't served", "[requests]") {
    Listener listener;
    listener.refusal = "minato-1 is suspended";
    const auto notice = [](const std::string& tsu) {
        return tac::Notice{tsu, tac::Notice::Kind::key_compromised, "the rack stood open", Bytes(32, 0xab)};
    };
    const auto say = [&](const std::string& body, const std::string& as = "channel-tsu") {
        const auto response = listener.post(body, as, "application/json", "/audit/notice");
        REQUIRE(response);
        return response->status;
    };
    CHECK(say(notice("tsu-1").to_json()) == 200);
    CHECK(listener.told == std::vector<std::string>{"minato-1 abab the rack stood open"});
    // Nobody says it of another's.
    CHECK(say(notice("tsu-2").to_json()) == 403);
    CHECK(say(notice("tsu-1").to_json(), "channel-stranger") == 403);
    // Nor a TAA's notice, or one without a certificate.
    CHECK(say(tac::Notice{"tsu-1", tac::Notice::Kind::clock_unproved, "x", {}}.to_json()) == 400);
    CHECK(say(R"({"tsu": "tsu-1", "notice": "key-compromised", "text": ""})") == 400);
    CHECK(say(R"({"tsu": "tsu-1", "notice": "key-compromised", "text": "", "certificate_sha256": "ab"})") ==
          400);
    CHECK(listener.told.size() == 1);
    listener.tell = Error::no("no certificate of minato-1 is known here by that SHA-256");
    CHECK(say(notice("tsu-1").to_json()) == 403);
    listener.tell = Error::environment("the disk is full");
    CHECK(say(notice("tsu-1").to_json()) == 503);
}
