// The operators' own command on each line: real processes.
#include "base/hook.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "tests/support/folder.h"

using namespace kokuin;
using testing::Folder;

namespace {

std::vector<std::string> lines(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
}

}  // namespace

TEST_CASE("the hook gets each line once, in order, on its standard input") {
    const Folder folder;
    const auto file = folder.path + "/told";
    {
        Hook hook({{"sh", "-c", "cat >> \"$1\"", "sh", file}, seconds(10)});
        hook.tell("the clock \"moved\"\x1b\n");
        hook.start();
        for (int i = 0; i < 20; ++i) hook.tell(std::to_string(i) + '\n');
        hook.stop();  // what waits is still told
    }
    const auto told = lines(file);
    REQUIRE(told.size() == 21);
    CHECK(told[0] == "the clock \"moved\"\x1b");
    for (int i = 0; i < 20; ++i) CHECK(told[static_cast<std::size_t>(i) + 1] == std::to_string(i));
}

TEST_CASE("a hook that is missing, fails, hangs or doesn't read harms nobody") {
    const Folder folder;
    ::signal(SIGPIPE, SIG_IGN);  // as every main does
    for (const auto& command : {std::vector<std::string>{"/nowhere/hook"},
                                {"false"},
                                {"true"},
                                {"sh", "-c", "kill -9 $$"},
                                {"sh", "-c", "yes"}}) {
        Hook hook({command, seconds(5)});
        hook.start();
        hook.tell(std::string(3000, 'x') + '\n');
        hook.stop();
    }
    // One that hangs holds up neither the others nor the end for longer than its deadline.
    const auto begun = std::chrono::steady_clock::now();
    {
        Hook hook({{"sleep", "1000"}, milliseconds(200)});
        hook.start();
        for (int i = 0; i < 3000; ++i) hook.tell("gate.closed\n");
        hook.stop();
    }
    CHECK(std::chrono::steady_clock::now() - begun < seconds(20));
}
