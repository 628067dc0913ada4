#include "store/retention.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "store/imports.h"
#include "tests/support/moment.h"

using namespace kokuin;
using kokuin::testing::moment;
using namespace kokuin::store;

namespace {

/// "x.y" as kinds are written, in the sources of those rooms that write events. Names of files look the same.
std::set<std::string> kinds_in_sources() {
    static const std::regex literal(R"re("([a-z]+\.[a-z]+(-[a-z]+)*)")re");
    static const std::set<std::string> both{"archive.key", "ca.crl", "witness.key"};
    static const std::set<std::string> files{"pem", "crl", "crt", "der", "toml", "json", "key"};
    std::set<std::string> kinds;
    for (const auto* room : {"tsa", "taa", "ca", "hsm", "store", "checkpoint", "evidence", "tac"})
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator(std::string(KOKUIN_SOURCE) + "/" + room)) {
            const auto extension = entry.path().extension();
            if (extension != ".cpp" && extension != ".h") continue;
            if (entry.path().filename() == "retention.cpp") continue;
            std::ifstream in(entry.path());
            const std::string text{std::istreambuf_iterator<char>(in), {}};
            for (std::sregex_iterator at(text.begin(), text.end(), literal), end; at != end; ++at) {
                const auto found = (*at)[1].str();
                const auto last = found.substr(found.find('.') + 1);
                if (files.count(last) == 0 || both.count(found) == 1) kinds.insert(found);
            }
        }
    return kinds;
}

}  // namespace

TEST_CASE("the table of kinds has each once, in order, and is found in") {
    const auto table = retention_table();
    REQUIRE(table.size() > 50);
    CHECK(table.front().kind == "token");
    CHECK(std::is_sorted(table.begin() + 1, table.end(),
                         [](const auto& a, const auto& b) { return a.kind < b.kind; }));
    std::set<std::string_view> kinds;
    for (const auto& one : table) {
        CHECK(kinds.insert(one.kind).second);
        CHECK(retention_of(one.kind).kind == one.kind);
        CHECK_FALSE(one.what.empty());
        // What MIND asks for: anomalies 3, room entry 1, all else 10 years.
        CHECK((one.years == 10 || one.years == 3 || one.kind == "import.room-entry"));
    }
    for (const auto* kind : {"", "a", "tac", "tac.", "tac.accepted.", "zz.zz"}) {
        CHECK(retention_of(kind).years == 10);
        CHECK(retention_of(kind).kind.empty());
    }
    CHECK(retention_of("import.room-entry").years == 1);
    CHECK(retention_of("gate.closed").years == 3);
    CHECK(retention_of("tac.accepted").years == 10);
    CHECK(retention_of("key.destroyed").years == 10);
    for (const auto& kind : import_kinds()) CHECK_FALSE(retention_of("import." + kind).kind.empty());
}

TEST_CASE("every kind that a program writes is in the table, and no other") {
    const auto written = kinds_in_sources();
    REQUIRE(written.count("gate.closed") == 1);
    for (const auto& kind : written) {
        INFO(kind << ": sort it into store/retention.cpp (or name the literal otherwise, if it is no kind)");
        CHECK_FALSE(retention_of(kind).kind.empty());
    }
    // Made of two literals: "import." and a name people choose, "reference." and a state.
    std::set<std::string> composed{
        "token", "audit", "refusals", "reference.silent", "reference.starting", "reference.unsynchronised"};
    for (const auto& kind : import_kinds()) composed.insert("import." + kind);
    for (const auto& one : retention_table()) {
        INFO(one.kind << ": nobody writes it; take it out of store/retention.cpp");
        CHECK((written.count(std::string(one.kind)) == 1 || composed.count(std::string(one.kind)) == 1));
    }
}

TEST_CASE("years are those of the calendar") {
    CHECK(years_later(moment("2026-11-27T01:02:03.5Z"), 10) == moment("2036-11-27T01:02:03.5Z"));
    CHECK(years_later(moment("2024-02-29T12:00:00Z"), 4) == moment("2028-02-29T12:00:00Z"));
    CHECK(years_later(moment("2024-02-29T12:00:00Z"), 1) == moment("2025-03-01T12:00:00Z"));
    CHECK(years_later(moment("1969-12-31T23:59:59.9Z"), 1) == moment("1970-12-31T23:59:59.9Z"));
    // A token: the later of ten years and the end of its certificate.
    const auto issued = moment("2026-11-27T00:00:00Z");
    CHECK(token_kept_until(issued, moment("2030-01-01")) == moment("2036-11-27T00:00:00Z"));
    CHECK(token_kept_until(issued, moment("2037-10-01")) == moment("2037-10-01"));
}
