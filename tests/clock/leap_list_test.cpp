#include "tac/clock/leap_list.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "tests/support/text.h"

using namespace kokuin;
using namespace kokuin::tac::clock;
using testing::has;

namespace {

// The end of the IERS's list, with a second taken away in 2027 that nobody has decided on.
const std::string made_up =
    "# comment\n#$\t 3960835200\n#@\t3991593600\n#\n"
    "3644697600      36      # 1 Jul 2015\n"
    "3692217600      37      # 1 Jan 2017\n"
    "4007750400      36      # 1 Jan 2027\n";

std::string error_of(const std::string& text) {
    const auto list = LeapList::parse(text);
    REQUIRE_FALSE(list);
    CHECK(list.error().text.find('\n') == std::string::npos);
    return list.error().text;
}

std::string replaced(const std::string& from, const std::string& to) {
    auto text = made_up;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("leap-seconds.list: insertion and deletion, and when it ends") {
    const auto list = LeapList::parse(made_up);
    REQUIRE(list);
    REQUIRE(list->leaps.size() == 2);
    CHECK(list->leaps[0] == LeapSecond{*from_rfc3339("2017-01-01"), 1});
    CHECK(list->leaps[1] == LeapSecond{*from_rfc3339("2027-01-01"), -1});
    CHECK(list->expires == *from_rfc3339("2026-06-28"));
    CHECK_FALSE(list->expired(*from_rfc3339("2026-06-28")));
    CHECK(list->expired(*from_rfc3339("2026-06-28T00:00:01Z")));
    CHECK(list->between(*from_rfc3339("2016-12-31"), *from_rfc3339("2017-01-01")).size() == 1);
    CHECK(list->between(*from_rfc3339("2017-01-02"), *from_rfc3339("2026-12-31")).empty());
}

TEST_CASE("leap-seconds.list: the one that tzdata carries") {
    const auto content = read_file(std::string(usual_leap_file));
    INFO((content ? "" : content.error().text));
    REQUIRE(content);  // tzdata is on every Debian machine
    const auto list = LeapList::parse(as_text(*content));
    INFO((list ? "" : list.error().text));
    REQUIRE(list);
    CHECK(list->leaps.size() >= 27);
    CHECK(list->leaps.front() == LeapSecond{*from_rfc3339("1972-07-01"), 1});
    // Its hash is right, and is looked at.
    auto text = as_text(*content);
    const auto at = text.find("3692217600");
    REQUIRE(at != std::string::npos);
    text.replace(at, 10, "3692304000");
    CHECK(has(error_of(text), "hash"));
}

TEST_CASE("leap-seconds.list: what isn't one says where") {
    CHECK(has(error_of(""), "when it expires"));
    CHECK(has(error_of("#@ 3991593600\n"), "no leap second"));
    CHECK(
        has(error_of(replaced("3692217600      37", "3692217600      38")), "line 6: neither a second more"));
    CHECK(has(error_of(replaced("3692217600      37", "3692217601      37")), "line 6: not a midnight"));
    CHECK(has(error_of(replaced("3692217600", "3644697600")), "not later"));
    CHECK(has(error_of(replaced("      37", "")), "no pair"));
    CHECK(has(error_of(replaced("3692217600      37", "3692217600      37 1")), "no pair"));
    CHECK(has(error_of(replaced("3991593600", "soon")), "line 3: no time"));
    CHECK(has(error_of(replaced("3692217600", "99999999999999999999")), "no pair"));
    CHECK(has(error_of(made_up + "#h 1 2 3 4 5\n"), "hash"));
}

TEST_CASE("leap-seconds.list: read again once an hour") {
    std::string folder = "/tmp/kokuin-test-XXXXXX";
    REQUIRE(mkdtemp(folder.data()));
    const LeapFile file(folder + "/leaps");
    const MonoTime start{seconds(1000)};
    CHECK(has(file.read(start).error().text, folder + "/leaps"));
    REQUIRE(write_file(folder + "/leaps", as_view(made_up)));
    CHECK_FALSE(file.read(start + std::chrono::seconds(59)));
    const auto list = file.read(start + std::chrono::minutes(1));  // trouble is looked at again sooner
    REQUIRE(list);
    CHECK((*list)->leaps.size() == 2);
    REQUIRE(write_file(folder + "/leaps", as_view("nonsense\n")));
    CHECK(file.read(start + std::chrono::minutes(60)));
    CHECK(has(file.read(start + std::chrono::minutes(61)).error().text, folder + "/leaps: line 1: no pair"));
    std::filesystem::remove_all(folder);
}
