// Text of others, fit to be shown.
#include <catch2/catch.hpp>

#include "base/text.h"

using namespace kokuin;

TEST_CASE("foreign text is made fit for one line") {
    CHECK(one_line("a\nb\rc\x7f") == "a b c");
    CHECK(one_line("\x1b[2Jgone") == " [2Jgone");
    CHECK(one_line("時刻 é 😀") == "時刻 é 😀");
    CHECK(one_line("\n\n").empty());
    CHECK(one_line("").empty());
    // Controls of C1, separators of lines, and what turns the direction of writing.
    CHECK(one_line("a\xc2\x9b"
                   "b\xc2\x85"
                   "c") == "a b c");
    CHECK(one_line("a\u2028b\u2029c\u202egnp") == "a b c gnp");
}

TEST_CASE("what isn't UTF-8 is shown, octet by octet") {
    CHECK(one_line("x\xff") == "x?");
    CHECK(one_line("\xe6\x99") == "??");                 // cut off
    CHECK(one_line("\xc0\x8a\xed\xa0\x80") == "?????");  // overlong newline, surrogate
    CHECK(one_line("\xff時") == "?時");
}

TEST_CASE("a long text is cut after a whole character") {
    CHECK(one_line("abcdef", 3) == "abc");
    CHECK(one_line("ab時刻", 4) == "ab");
    CHECK(one_line("ab時刻", 5) == "ab時");
    CHECK(one_line("ab", 0).empty());
    CHECK(one_line(std::string(400, 'x')).size() == 300);
    CHECK(one_line(std::string(400, 'x'), any_length).size() == 400);
}
