#include "tac/exchange.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>

using namespace kokuin;
using namespace kokuin::tac;

namespace {

const Bytes nonce(16, 0xab);
const std::string nonce_hex = "abababababababababababababababab";

template <typename T>
std::string why_not(std::string_view body) {
    const auto value = T::from_json(body);
    REQUIRE_FALSE(value.ok());
    CHECK(value.error().kind == Error::Kind::no);
    return value.error().text;
}

}  // namespace

TEST_CASE("messages survive the way there and back") {
    const auto request = ClockRequest::from_json(ClockRequest{nonce, "tsu-1"}.to_json());
    REQUIRE(request.ok());
    CHECK(request->nonce == nonce);
    CHECK(request->tsu == "tsu-1");

    ClockAnswer answer{nonce, WallTime(nanoseconds(1'795'000'000'123'456'789)),
                       WallTime(nanoseconds(8'200'000'000'000'000'000)), Bytes(32, 1)};
    const auto answer_back = ClockAnswer::from_json(answer.to_json());
    REQUIRE(answer_back.ok());
    CHECK(answer_back->t2 == answer.t2);
    CHECK(answer_back->t3 == answer.t3);
    CHECK(answer_back->certificate_sha256 == answer.certificate_sha256);

    for (const auto& chain : {std::vector<Bytes>{}, std::vector<Bytes>{Bytes(900, 2), Bytes(7, 3)}}) {
        const auto delivery = TacDelivery::from_json(TacDelivery{nonce, Bytes(800, 4), chain}.to_json());
        REQUIRE(delivery.ok());
        CHECK(delivery->tac == Bytes(800, 4));
        CHECK(delivery->chain == chain);
    }
    for (const auto kind : {DeliveryVerdict::Kind::accepted, DeliveryVerdict::Kind::stop_accepted,
                            DeliveryVerdict::Kind::refused}) {
        const auto verdict =
            DeliveryVerdict::from_json(DeliveryVerdict{kind, "replay", "as before\nthat\xff"}.to_json());
        REQUIRE(verdict.ok());
        CHECK(verdict->kind == kind);
        CHECK(verdict->reason == "replay");
        CHECK(verdict->text == "as before that?");
    }
    const auto wanted = AuditRequest::from_json(AuditRequest{"tsu-1", std::string(999, 'x')}.to_json());
    REQUIRE(wanted.ok());
    CHECK(wanted->why == std::string(256, 'x'));
    const auto later = AuditAnswer::from_json(AuditAnswer{true, seconds(30)}.to_json());
    REQUIRE(later.ok());
    CHECK(later->accepted);
    CHECK(later->retry_after == seconds(30));
}

TEST_CASE("the documented keys are the keys") {
    CHECK(ClockRequest{nonce, "t"}.to_json() == R"({"nonce":")" + nonce_hex + R"(","tsu":"t"})");
    CHECK(TacDelivery{nonce, {1, 2, 3}, {}}.to_json() == R"({"nonce":")" + nonce_hex + R"(","tac":"AQID"})");
    CHECK(AuditAnswer{false, seconds(5)}.to_json() == R"({"accepted":false,"retry_after_s":5})");
    CHECK(DeliveryVerdict{DeliveryVerdict::Kind::stop_accepted, "", "x"}.to_json() ==
          R"({"reason":"","text":"x","verdict":"stop-accepted"})");
}

TEST_CASE("bodies that aren't what they should be are refused with a reason") {
    using Catch::Contains;
    const std::string good = R"("nonce":")" + nonce_hex + R"(","tsu":"t")";
    CHECK(ClockRequest::from_json("{" + good + "}").ok());
    for (const char* body : {"", "[]", "null", "{", "{}x", "\xff", "{\"nonce\":1e999}"})
        CHECK_THAT(why_not<ClockRequest>(body), Contains("JSON") || Contains("nonce"));
    CHECK_THAT(why_not<ClockRequest>("{" + good + ",\"x\":1}"), Contains("isn't known"));
    CHECK_THAT(why_not<ClockRequest>("{" + good + ",\"tsu\":\"u\"}"), Contains("twice"));
    CHECK_THAT(why_not<ClockRequest>("{\"tsu\":\"t\"}"), Contains("nonce is missing"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"abab\",\"tsu\":\"t\"}"), Contains("16 to 64 octets"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"" + std::string(130, 'a') + "\",\"tsu\":\"t\"}"),
               Contains("nonce"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"" + std::string(32, 'A') + "\",\"tsu\":\"t\"}"),
               Contains("lower-case"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"" + nonce_hex + "\",\"tsu\":\"\"}"), Contains("tsu"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"" + nonce_hex + "\",\"tsu\":\"a\\nb\"}"),
               Contains("control"));
    CHECK_THAT(why_not<ClockRequest>("{\"nonce\":\"" + nonce_hex + "\",\"tsu\":7}"), Contains("string"));
    CHECK_THAT(why_not<ClockRequest>(std::string(max_body + 1, ' ')), Contains("octets"));
    CHECK_FALSE(ClockRequest::from_json(std::string(30000, '[')).ok());
    const std::string answer =
        R"({"nonce":")" + nonce_hex + R"(","certificate_sha256":")" + std::string(64, '0');
    CHECK(ClockAnswer::from_json(answer + R"(","t2_ns":1,"t3_ns":2})").ok());
    CHECK_THAT(why_not<ClockAnswer>(answer + R"(","t2_ns":1.5,"t3_ns":2})"), Contains("t2_ns"));
    CHECK_THAT(why_not<ClockAnswer>(answer + R"(","t2_ns":1,"t3_ns":9223372036854775808})"),
               Contains("t3_ns"));
    CHECK_THAT(why_not<ClockAnswer>(answer + R"(","t2_ns":1,"t3_ns":null})"), Contains("t3_ns"));
    CHECK_THAT(why_not<ClockAnswer>(answer + R"(","t2_ns":1,"t3_ns":-1})"), Contains("t3_ns"));
    const std::string delivery = R"({"nonce":")" + nonce_hex + R"(","tac":)";
    CHECK_THAT(why_not<TacDelivery>(delivery + R"("!"})"), Contains("base64"));
    CHECK_THAT(why_not<TacDelivery>(delivery + R"(""})"), Contains("tac"));
    CHECK_THAT(why_not<TacDelivery>(delivery + R"("AQID","chain":"AQID"})"), Contains("array"));
    CHECK_THAT(why_not<TacDelivery>(delivery + R"("AQID","chain":[1]})"), Contains("chain"));
    CHECK_THAT(why_not<TacDelivery>(delivery + R"("AQID","chain":["","","","","","","","",""]})"),
               Contains("array"));
    CHECK_THAT(why_not<DeliveryVerdict>(R"({"verdict":"maybe","reason":"","text":""})"), Contains("verdict"));
    CHECK_THAT(why_not<AuditAnswer>(R"({"accepted":1,"retry_after_s":5})"), Contains("accepted"));
    CHECK_THAT(why_not<AuditAnswer>(R"({"accepted":true,"retry_after_s":-1})"), Contains("retry_after_s"));
}

TEST_CASE("offset and delay from four times") {
    const auto at = [](int ms) { return WallTime(seconds(1'795'000'000) + milliseconds(ms)); };
    // TSU 250 ms ahead; 3 ms there, 5 ms back, 10 ms of work.
    const Measurement m = measure(at(0), at(253), at(263), at(18));
    CHECK(m.offset == milliseconds(249));
    CHECK(m.delay == milliseconds(8));
    CHECK(m.at == at(9));
    const Measurement behind = measure(at(1000), at(502), at(502), at(1004));
    CHECK(behind.offset == -milliseconds(500));
    CHECK(behind.delay == milliseconds(4));

    // The ends of what an answer may say don't overflow.
    const WallTime last(nanoseconds(8'200'000'000'000'000'000));
    CHECK(measure(at(0), last, last, at(0)).offset == last - at(0));
    CHECK(measure(at(0), last, WallTime{}, at(0)).delay > seconds(1));
    CHECK(measure(at(0), WallTime{}, last, at(0)).delay < seconds(0));

    CHECK_FALSE(best({}));
    Measurement impossible;
    impossible.delay = -nanoseconds(1);
    CHECK_FALSE(best({impossible}));
    CHECK(best({impossible, m, behind, m}) == 2U);
}

namespace {

Exchange exchange_at(std::uint8_t id, seconds mono) {
    Exchange exchange;
    exchange.nonce = Bytes(16, id);
    exchange.tsu = "tsu-" + std::to_string(id);
    exchange.received.before = MonoTime(mono);
    return exchange;
}

}  // namespace

TEST_CASE("an exchange can be taken once, by its nonce, in its time") {
    ExchangeLog log(3, std::chrono::minutes(5));
    const MonoTime start(seconds(1000));
    CHECK(log.record(exchange_at(1, seconds(1000))));
    CHECK_FALSE(log.record(exchange_at(1, seconds(1001))));
    CHECK_FALSE(log.take(Bytes(16, 9), start));
    CHECK_FALSE(log.take(Bytes(15, 1), start));
    const auto taken = log.take(Bytes(16, 1), start + seconds(300));
    REQUIRE(taken);
    CHECK(taken->tsu == "tsu-1");
    CHECK_FALSE(log.take(Bytes(16, 1), start + seconds(300)));

    CHECK(log.record(exchange_at(2, seconds(1000))));
    CHECK_FALSE(log.take(Bytes(16, 2), start + seconds(301)));
    CHECK(log.size() == 0);

    for (std::uint8_t id = 10; id < 15; ++id) CHECK(log.record(exchange_at(id, seconds(1000))));
    CHECK(log.size() == 3);
    CHECK_FALSE(log.take(Bytes(16, 11), start));
    CHECK(log.take(Bytes(16, 12), start));
}

TEST_CASE("of many takers of one nonce, one gets it") {
    ExchangeLog log;
    REQUIRE(log.record(exchange_at(1, seconds(1000))));
    std::atomic<int> won{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] { won += log.take(Bytes(16, 1), MonoTime(seconds(1000))).has_value(); });
    for (auto& thread : threads) thread.join();
    CHECK(won == 1);
}
