// taad itself, as an operator runs it: a SoftHSM token, a certificate from openssl, an archive, a TSU on
// loopback.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/net/client.h"
#include "store/log_keys.h"
#include "store/reader.h"
#include "tac/exchange.h"
#include "tests/taa/fake_tsu.h"

extern char** environ;

using namespace kokuin;

namespace {

/// A port of loopback that was free a moment ago.
std::uint16_t free_port() {
    net::ServerOptions options;
    net::Server server(options, std::make_shared<net::Router>());
    REQUIRE(server.start());
    return server.port();
}

/// A running taad; killed if the test forgets it.
class Process {
  public:
    explicit Process(const std::string& config, const std::string& log) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        std::string program = KOKUIN_TAAD;
        std::string option = "--config";
        std::string file = config;
        char* arguments[] = {program.data(), option.data(), file.data(), nullptr};
        REQUIRE(posix_spawn(&pid_, KOKUIN_TAAD, &actions, nullptr, arguments, environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
    }
    ~Process() {
        if (pid_ > 0) end(SIGKILL);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    /// Sends the signal and waits; the exit code, or -1 if a signal ended it.
    int end(int signal) {
        kill(pid_, signal);
        return wait();
    }
    int wait() {
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

  private:
    pid_t pid_ = 0;
};

/// A TAA's folder: conf/taad.toml with the paths and ports of this test, its token, key, certificate and
/// archive.
struct House {
    explicit House(std::uint16_t tsu_port, const std::string& schedule = "") : port(free_port()) {
        auto sample = read_file(std::string(KOKUIN_SOURCE_DIR) + "/conf/taad.toml");
        REQUIRE(sample);
        auto text = as_text(*sample);
        const auto put = [&text](const std::string& from, const std::string& to) {
            const auto at = text.find(from);
            INFO(from);
            REQUIRE(at != std::string::npos);
            text.replace(at, from.size(), to);
        };
        const auto& town = town::folder();
        put("# environment = [\"SOFTHSM2_CONF=/etc/softhsm2.conf\"]",
            "environment = [\"SOFTHSM2_CONF=" + folder.at("softhsm2.conf") + "\"]");
        put("#   pin_file", "pin_file");
        put("127.0.0.1:3164", "127.0.0.1:" + std::to_string(port));
        put("127.0.0.1:3163", "127.0.0.1:" + std::to_string(tsu_port));
        put("pki/audit-taa.pem", town.at("channel-taa.pem"));
        put("pki/audit-taa.key", town.at("channel-taa.key"));
        put("pki/chain.pem", town.at("root.pem"));
        put("pki/taa.pem", folder.at("taa.pem"));
        put("pki/tsu.pem", town.at("tsu.pem"));
        put("[schedule]", "[schedule]\n" + schedule);
        folder.write("taad.toml", as_view(text));
        folder.write("softhsm2.conf", as_view("directories.tokendir = " + folder.at("tokens") +
                                              "\nobjectstore.backend = file\nlog.level = ERROR\n"));
        folder.must("mkdir tokens && umask 077 && echo 123456 > taa.pin && echo 654321 > so.pin");
    }
    /// Everything an operator does once, with the verbs of taad.
    void settle() {
        must("token init --so-pin-file " + folder.at("so.pin"));
        must("key generate taa");
        must("key generate archive --type ed25519");
        must("key csr taa --subject 'C=JP,O=Kokuin Test TAA,CN=TAA 1' -o " + folder.at("taa.csr"));
        std::ofstream(folder.at("taa.ext")) << town::taa_extensions << "\n";
        folder.must("openssl x509 -req -in taa.csr -CA " + town::folder().at("root.pem") + " -CAkey " +
                    town::folder().at("root.key") +
                    " -set_serial 0x4711 -days 365 -extfile taa.ext -out taa.pem");
        must("key import taa " + folder.at("taa.pem"));
        must("archive init");
        must("tsu admit tsu-1 --by test --why 'connected and looked at'");
    }
    workshop::Run taad(const std::string& verb) const {
        return workshop::run(std::string(KOKUIN_TAAD) + " --config " + folder.at("taad.toml") + " " + verb);
    }
    std::string must(const std::string& verb) const {
        const auto result = taad(verb);
        INFO(verb << "\n" << result.output);
        REQUIRE(result.exit == 0);
        return result.output;
    }
    [[nodiscard]] std::unique_ptr<Process> start() const {
        return std::make_unique<Process>(folder.at("taad.toml"), folder.at("log"));
    }
    [[nodiscard]] std::vector<store::Event> events(const std::string& kind) const {
        auto reader = store::ArchiveReader::open(folder.at("taa-archive"));
        REQUIRE(reader);
        std::vector<store::Event> found;
        store::EventQuery query;
        query.kind = kind;
        REQUIRE((*reader)->events(query, [&](const store::Found& one) {
            found.push_back(one.event());
            return true;
        }));
        return found;
    }
    /// How many records there are, and how many of them the archive's key has signed for.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> covered() const {
        const auto dir = folder.at("taa-archive");
        auto reader = store::ArchiveReader::open(dir);
        REQUIRE(reader);
        const auto covered = store::covered_in(dir, **reader);
        REQUIRE(covered);
        std::uint64_t records = *covered;
        while ((*reader)->record(static_cast<store::RecordNumber>(records))) ++records;
        return {records, *covered};
    }
    [[nodiscard]] Result<net::Response> ask() const {
        net::ClientOptions options;
        options.host = "127.0.0.1";
        options.port = port;
        const auto& town = town::folder();
        options.tls = net::ClientTls{town.at("root.pem"), town::taa_name, town.at("channel-tsu.pem"),
                                     town.at("channel-tsu.key")};
        auto client = net::Client::make(options);
        REQUIRE(client);
        const auto body = tac::AuditRequest{"tsu-1", "test"}.to_json();
        net::Call call;
        call.method = "POST";
        call.path = "/audit/request";
        call.content_type = "application/json";
        call.body = Bytes(as_view(body).begin(), as_view(body).end());
        return client->request(call, seconds(10));
    }

    std::uint16_t port;
    workshop::Folder folder;
};

std::string field(const store::Event& event, const std::string& key) {
    return std::get<std::string>(event.fields.at(key));
}

}  // namespace

TEST_CASE("taad from an empty folder to TACs by schedule and on request", "[taad]") {
    town::FakeTsu tsu;
    House house(tsu.port(), "request_spacing = \"0s\"\n");
    CHECK(house.taad("").exit == 2);  // no certificate, no archive: it makes none by itself
    house.settle();
    const auto keys = house.must("key list");
    CHECK(keys.find("never leaves the token") != std::string::npos);
    CHECK(keys.find("TAA 1") != std::string::npos);
    CHECK(house.taad("archive init").exit == 2);  // never over an old one
    CHECK(house.taad("token init --so-pin-file " + house.folder.at("so.pin")).exit == 2);

    auto process = house.start();
    INFO(house.folder.read("log"));
    REQUIRE(tsu.delivered(1));  // at start, at once
    const auto second = house.taad("");
    CHECK(second.exit == 3);  // one writer
    CHECK(house.taad("audit now tsu-1").exit == 3);

    // The schedule's next audit is an hour away; asked for, one comes now. (The first may still be writing
    // down its verdict: then it serves the request, and the test asks again.)
    for (int i = 0; i < 200 && house.events("audit.verdict").empty(); ++i)
        std::this_thread::sleep_for(milliseconds(10));
    REQUIRE(house.events("audit.verdict").size() == 1);
    bool running = true;
    for (int i = 0; i < 200 && running; ++i) {
        const auto response = house.ask();
        REQUIRE(response);
        REQUIRE(response->status == 200);
        const auto answer = tac::AuditAnswer::from_json(as_text(response->body));
        REQUIRE(answer);
        CHECK(answer->accepted);
        running = tsu.clock_requests < 16;
        if (running) std::this_thread::sleep_for(milliseconds(10));
    }
    REQUIRE(tsu.delivered(2));
    CHECK(process->end(SIGTERM) == 0);

    const auto audits = house.events("audit");
    REQUIRE(audits.size() >= 2);
    CHECK(field(audits[0], "cause") == "schedule");
    CHECK(field(audits[1], "cause") == "request");
    for (const auto& audit : audits) CHECK(field(audit, "outcome") == "good");
    for (const auto& verdict : house.events("audit.verdict")) CHECK(field(verdict, "verdict") == "accepted");
    CHECK(house.events("audit.verdict").size() == audits.size());
    CHECK(house.events("taa.started").size() == 1);
    CHECK(house.events("taa.stopped").size() == 1);
    // All of it is signed for, the last word too (TAA-8); what was done before the server was there, first.
    auto [records, covered] = house.covered();
    CHECK(records == covered);
    CHECK(house.events("archive.key").size() == 1);
    house.must("tsu review tsu-1 --by test --why 'while taad is down'");
    std::tie(records, covered) = house.covered();
    CHECK(records == covered + 1);

    // One audit by hand, while taad is down.
    const auto now = house.taad("audit now tsu-1");
    INFO(now.output);
    CHECK(now.exit == 0);
    CHECK(now.output.find("cause=operator") != std::string::npos);
    CHECK(field(house.events("audit").back(), "cause") == "operator");
    std::tie(records, covered) = house.covered();
    CHECK(records == covered);
    tsu.clock.shift(milliseconds(-700));
    CHECK(house.taad("audit now tsu-1").exit == 1);
    CHECK(field(house.events("audit").back(), "outcome") == "stop");
    CHECK(house.taad("audit now tsu-9").exit == 2);
}

TEST_CASE("without its archive's key taad issues no TAC, and says how to make one", "[taad]") {
    town::FakeTsu tsu;
    House house(tsu.port());
    house.settle();
    auto text = house.folder.read("taad.toml");
    const std::string key = "key = \"archive\"";
    text.replace(text.find(key), key.size(), "key = \"archive-2\"");
    house.folder.write("taad.toml", as_view(text));
    auto process = house.start();
    REQUIRE(tsu.asked(9));  // a second audit has begun: the first ended without a TAC
    CHECK(tsu.deliveries == 0);
    CHECK(field(house.events("audit").front(), "outcome") == "not-signed");
    CHECK(house.events("checkpoint.late").size() == 1);
    const auto late = house.events("checkpoint.late").front().text;
    CHECK(late.find("no TAC is issued: records are under no signed checkpoint in time") == 0);
    CHECK(late.find("taad key generate archive-2 --type ed25519") != std::string::npos);
    house.must("key generate archive-2 --type ed25519");
    REQUIRE(tsu.delivered(1));
    CHECK(process->end(SIGTERM) == 0);
    CHECK(house.events("checkpoint.back").size() == 1);
    const auto [records, covered] = house.covered();
    CHECK(records == covered);
}

TEST_CASE("taad starts before its TSU, and is there when it comes", "[taad]") {
    const auto port = free_port();
    House house(port);
    house.settle();
    auto process = house.start();
    for (int i = 0; i < 3000 && house.events("audit").empty(); ++i)
        std::this_thread::sleep_for(milliseconds(10));
    town::FakeTsu tsu("channel-tsu", port);
    REQUIRE(tsu.delivered(1));
    CHECK(process->end(SIGINT) == 0);
    const auto audits = house.events("audit");
    CHECK(field(audits.front(), "outcome") == "unreachable");
    CHECK(field(audits.back(), "outcome") == "good");
}

TEST_CASE("taad starts without its HSM, says so, and signs when it is back", "[taad]") {
    town::FakeTsu tsu;
    House house(tsu.port());
    house.settle();
    house.folder.must("mv tokens away && mkdir tokens");
    auto process = house.start();
    REQUIRE(tsu.asked(9));  // a second audit has begun: the first ended without a TAC
    CHECK(tsu.deliveries == 0);
    CHECK(field(house.events("audit").front(), "outcome") == "not-signed");
    house.folder.must("rmdir tokens && mv away tokens");
    REQUIRE(tsu.delivered(1));
    CHECK(process->end(SIGTERM) == 0);
    CHECK(field(house.events("audit").back(), "outcome") == "good");
    CHECK(house.folder.read("log").find("no TAC until it is back") != std::string::npos);
}

TEST_CASE("what is wrong with the surroundings is told in one line, with the right exit code", "[taad]") {
    const town::FakeTsu tsu;
    House house(tsu.port());
    const auto expect = [&](int code, const std::string& part, const std::string& verb = "") {
        const auto result = house.taad(verb);
        INFO(result.output);
        CHECK(result.exit == code);
        CHECK(result.output.find(part) != std::string::npos);
        CHECK(result.output.find("taad: ") != std::string::npos);
    };
    CHECK(workshop::run(std::string(KOKUIN_TAAD) + " --help").exit == 0);
    CHECK(workshop::run(std::string(KOKUIN_TAAD) + " --config /nonexistent/taad.toml").exit == 2);
    expect(2, "--help", "frobnicate");
    expect(3, "kokuin-taa", "key list");  // no such token yet
    house.settle();
    const auto good = house.folder.read("taad.toml");
    const auto with = [&](const std::string& from, const std::string& to) {
        auto text = good;
        text.replace(text.find(from), from.size(), to);
        house.folder.write("taad.toml", as_view(text));
    };
    with("[log]", "[log]\ncolour = 1");
    expect(2, "colour");
    with("key = \"taa\"", "key = \"nobody\"");
    expect(2, "nobody");
    with(house.folder.at("taa.pem"), town::folder().at("other-tsu.pem"));
    expect(2, "isn't the one of");
    with(town::folder().at("tsu.pem"), town::folder().at("channel-tsu.pem"));
    expect(2, "[tsu.tsu-1] certificate");
    with(std::to_string(house.port), std::to_string(tsu.port()));
    expect(3, std::to_string(tsu.port()));
    house.folder.write("taad.toml", as_view(good));
    house.folder.must("chmod 644 taa.pin");
    expect(2, "chmod 600");
    house.folder.must("chmod 600 taa.pin && cp taa.pin right.pin && echo 999999 > taa.pin");
    expect(2, "PIN");  // given to the token once, then no more
    house.folder.must("cp right.pin taa.pin && mv taa-archive gone");
    expect(2, "archive init");
}
