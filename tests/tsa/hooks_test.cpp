// The operators' own command on each change: real processes.
#include "tsa/hooks.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/folder.h"

using namespace kokuin;
using testing::Folder;

namespace {

store::Event event(const std::string& kind, const std::string& text = "") {
    store::Event made;
    made.kind = kind;
    made.subject = "tsu-1";
    made.text = text;
    made.fields = {{"cause", std::string("bound")}, {"us", std::int64_t{-7}}, {"nonce", Bytes{0xab, 1}}};
    return made;
}

std::vector<nlohmann::json> lines(const std::string& path) {
    std::ifstream in(path);
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
}

}  // namespace

TEST_CASE("the hook gets each change once, in order, as JSON on its standard input") {
    const Folder folder;
    const auto file = folder.path + "/told";
    {
        tsa::Hooks hooks({{"sh", "-c", "cat >> \"$1\"", "sh", file}, seconds(10)});
        hooks.tell(from_unix_us(1'795'000'000'123'456), event("gate.closed", "the clock \"moved\"\x1b"));
        hooks.start();
        hooks.tell({}, event("refusals"));
        hooks.tell({}, event("reference.compared"));
        for (int i = 0; i < 20; ++i) hooks.tell({}, event("gate.opened", std::to_string(i)));
        hooks.stop();  // what waits is still told
    }
    const auto told = lines(file);
    REQUIRE(told.size() == 21);
    CHECK(told[0] == nlohmann::json({{"kind", "gate.closed"},
                                     {"at", "2026-11-18T11:06:40.123456Z"},
                                     {"subject", "tsu-1"},
                                     {"text", "the clock \"moved\"\x1b"},
                                     {"fields", {{"cause", "bound"}, {"us", -7}, {"nonce", "ab01"}}}}));
    for (int i = 0; i < 20; ++i) CHECK(told[static_cast<std::size_t>(i) + 1]["text"] == std::to_string(i));
}

TEST_CASE("a hook that is missing, fails, hangs or doesn't read harms nobody") {
    const Folder folder;
    ::signal(SIGPIPE, SIG_IGN);  // as every main does
    for (const auto& command : {std::vector<std::string>{"/nowhere/hook"},
                                {"false"},
                                {"true"},
                                {"sh", "-c", "kill -9 $$"},
                                {"sh", "-c", "yes"}}) {
        tsa::Hooks hooks({command, seconds(5)});
        hooks.start();
        hooks.tell({}, event("gate.closed", std::string(3000, 'x')));
        hooks.stop();
    }
    // One that hangs holds up neither the others nor the end for longer than its deadline.
    const auto begun = std::chrono::steady_clock::now();
    {
        tsa::Hooks hooks({{"sleep", "1000"}, milliseconds(200)});
        hooks.start();
        for (int i = 0; i < 3000; ++i) hooks.tell({}, event("gate.closed"));
        hooks.stop();
    }
    CHECK(std::chrono::steady_clock::now() - begun < seconds(20));
}
