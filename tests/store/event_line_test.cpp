#include "store/event_line.h"

#include <catch2/catch.hpp>

using namespace kokuin;
using namespace kokuin::store;

TEST_CASE("an event is one line of JSON, whatever stands in it") {
    Event event;
    event.kind = "gate.closed";
    event.subject = "tsu-1";
    event.text = "the clock \"moved\"\x1b\n刻 \xff";
    event.fields = {{"cause", std::string("bound")}, {"us", std::int64_t{-7}}, {"nonce", Bytes{0xab, 1}}};
    CHECK(event_line(from_unix_us(1'795'000'000'123'456), event) ==
          R"({"kind":"gate.closed","at":"2026-11-18T11:06:40.123456Z","subject":"tsu-1",)"
          R"("text":"the clock \"moved\"\u001b\n刻 �","fields":{"cause":"bound","nonce":"ab01","us":-7}})"
          "\n");
    CHECK(event_line(from_unix_us(0), {}) ==
          R"({"kind":"","at":"1970-01-01T00:00:00.000000Z","subject":"","text":"","fields":{}})"
          "\n");
}
