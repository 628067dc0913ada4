#include "base/bytes.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/secret.h"
#include "tests/support/folder.h"

using namespace kokuin;
using testing::Folder;

TEST_CASE("hexadecimal and base64") {
    CHECK(to_hex(*from_hex("00fFa0")) == "00ffa0");
    CHECK_FALSE(from_hex("0"));
    CHECK_FALSE(from_hex("0g"));
    CHECK(to_base64(as_view("kokuin")) == "a29rdWlu");
    CHECK(as_text(*from_base64("a29rdWlu")) == "kokuin");
    for (const auto* bad : {"a29rdWl", "a29r dWlu", "a29rdWlu\n", "####", "a2=="})
        CHECK_FALSE(from_base64(bad));
}

TEST_CASE("comparison") {
    CHECK(equal_constant_time(as_view("abc"), as_view("abc")));
    CHECK_FALSE(equal_constant_time(as_view("abc"), as_view("abd")));
    CHECK_FALSE(equal_constant_time(as_view("abc"), as_view("ab")));
    CHECK(random_octets(16) != random_octets(16));
}

TEST_CASE("files are replaced whole") {
    const Folder folder;
    const auto path = folder.path + "/file";
    REQUIRE(write_file(path, as_view("one")));
    REQUIRE(write_file(path, as_view("two")));
    CHECK(as_text(*read_file(path)) == "two");
    CHECK_FALSE(read_file(path, 2));
    CHECK(read_file(folder.path + "/none").error().text.find(folder.path + "/none: can't open it") == 0);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
    CHECK_FALSE(write_file(folder.path + "/no/such", as_view("x")));
}

TEST_CASE("a secret file that others may read is refused with the mend") {
    const Folder folder;
    const auto path = folder.path + "/pin";
    REQUIRE(write_file(path, as_view("1234\n"), 0644));
    const auto open = read_secret_file(path);
    REQUIRE_FALSE(open);
    CHECK(open.error().text.find("chmod 600 " + path) != std::string::npos);
    CHECK(open.error().text.find("1234") == std::string::npos);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    const auto closed = read_secret_file(path);
    REQUIRE(closed);
    CHECK(as_text(closed->view()) == "1234");
    REQUIRE(write_file(path, as_view("\n"), 0600));
    CHECK_FALSE(read_secret_file(path));
}
