// A TSU, or somebody in it who speaks for it to the TAA, that doesn't tell T2 and T3 as they were. What it
// can gain is in the evidence, or has a name.
#include <catch2/catch.hpp>

#include "taa/channel.h"
#include "taa/issuer.h"
#include "tac/validate.h"
#include "tests/taa/town.h"

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

constexpr nanoseconds truth = 200ms;  // what the TSU's clock is ahead

/// One exchange in true time: nothing happens before 0 (T1) and after `end` (T4), the request arrives at
/// `arrival`, the answer leaves at `departure`.
struct Path {
    nanoseconds arrival;
    nanoseconds departure;
    nanoseconds end;
};

struct World {
    const pki::Certificate tsu = town::folder().certificate("tsu");  // made before t1, so valid then
    const WallTime t1 = SystemWallClock().now();
    const MonoTime m1 = SystemMonoClock().now();
    const tac::ClockRequest request{random_octets(32), "tsu-1"};

    /// The TSU's clock at a true time.
    [[nodiscard]] tac::clock::Reading reading(nanoseconds at) const {
        return {m1 + at, t1 + at + truth, m1 + at, {}};
    }
    /// What the TAA makes of what it is told.
    [[nodiscard]] Result<Sample, NoSample> told(const Path& path, WallTime t2, WallTime t3) const {
        return judge_sample(request, {request.nonce, t2, t3, tsu.sha256()}, t1, t1 + path.end, path.end);
    }
    /// What the TSU makes of the TAC that comes of it, by its record of an exchange from `received` to
    /// `sent`.
    [[nodiscard]] tac::Verdict judged(const Sample& sample, const Path& path, nanoseconds received,
                                      nanoseconds sent) const {
        static const auto issuer = [] {
            auto made = Issuer::make({town::folder().certificate("taa")}, pki::Hash::sha512,
                                     town::software_key("taa"));
            REQUIRE(made);
            return std::move(*made);
        }();
        const auto issued = issuer.issue(tsu, sample.measurement, {});
        REQUIRE(issued);
        const auto& authority = issuer.certificate().der();
        tac::Delivered delivered{
            issued->der,
            {Bytes(authority.begin(), authority.end())},
            tac::Exchange{request.nonce, "tsu-1", reading(received), reading(sent), "boot"}};
        tac::Rules rules;
        rules.anchors = {town::folder().certificate("root")};
        rules.taa_bound = 0ns;  // this TAA's clock is right, so the 30 ms must not be what saves the day
        return tac::validate(delivered, rules, {tsu, std::nullopt, reading(path.end + 20ms), "boot"});
    }
};

/// "sound" if the evidence contains the true error, "unsound" if not, else why it was refused.
std::string outcome(const tac::Verdict& verdict) {
    if (const auto* refusal = std::get_if<tac::Refusal>(&verdict)) return std::string(name(refusal->reason));
    const auto* accepted = std::get_if<std::shared_ptr<const tac::AcceptedTac>>(&verdict);
    REQUIRE(accepted);
    const auto& evidence = (*accepted)->evidence;
    CHECK(evidence.uncertainty <= 103ms);  // it says something all the same
    return std::chrono::abs(evidence.error - truth) <= evidence.uncertainty ? "sound" : "unsound";
}

}  // namespace

TEST_CASE("T2 and T3 of any moments while the request was away: the evidence contains the true error",
          "[lies]") {
    // The request arrives at once and the answer takes all the time, or the other way round, or anything
    // else: T2 and T3 are readings of the TSU's clock, but of moments that it chose.
    const World world;
    const Path path{0ms, 0ms, 80ms};
    int sound = 0;
    for (nanoseconds t2 = 0ms; t2 <= path.end; t2 += 4ms)
        for (const nanoseconds t3 : {t2, t2 + 1us, t2 + 500us, t2 + longest_answer}) {
            if (t3 > path.end) continue;
            INFO("T2 at " << t2.count() << " T3 at " << t3.count());
            const auto sample = world.told(path, world.reading(t2).wall, world.reading(t3).wall);
            REQUIRE(sample);
            CHECK(std::chrono::abs(sample->measurement.offset - truth) <= sample->measurement.delay / 2);
            CHECK(outcome(world.judged(*sample, path, t2, t3)) == "sound");
            ++sound;
        }
    CHECK(sound == 81);
}

TEST_CASE(
    "T2 and T3 shifted on their way to the TAA: in the evidence up to delay/2 + 1 ms, then a contradiction",
    "[lies]") {
    const World world;
    // However the delay is spread over the two directions.
    const nanoseconds arrival = GENERATE(0ms, 20ms, 40ms, 80ms);
    const Path path{arrival, arrival, 80ms};
    int sound = 0;
    int refused = 0;
    for (nanoseconds lie = -120ms; lie <= 120ms; lie += 4ms) {
        INFO("arrival " << arrival.count() << " lie " << lie.count());
        const auto sample =
            world.told(path, world.reading(arrival).wall + lie, world.reading(arrival).wall + lie);
        REQUIRE(sample);
        const auto came = outcome(world.judged(*sample, path, arrival, arrival));
        CHECK(came == (std::chrono::abs(lie) <= 41ms ? "sound" : "contradiction"));
        came == "sound" ? ++sound : ++refused;
    }
    CHECK(sound == 21);
    CHECK(refused == 40);
}

TEST_CASE("T2 and T3 far apart, farther than the request was away, or in the wrong order are no measurement",
          "[lies]") {
    const World world;
    const Path path{40ms, 40ms, 80ms};
    const auto at = [&](nanoseconds t2, nanoseconds t3) {
        const auto sample = world.told(path, world.reading(t2).wall, world.reading(t3).wall);
        return sample ? std::string("sample") : sample.error().text;
    };
    CHECK(at(40ms, 41ms) == "sample");
    // So that the delay would seem to be nothing, whatever the path is.
    CHECK_THAT(at(0ms, 80ms), Catch::Contains("took 80ms to answer; no more than 1ms"));
    CHECK_THAT(at(40ms, 41ms + 1ns), Catch::Contains("took 1ms1us to answer"));
    CHECK_THAT(at(-1ms, 81ms), Catch::Contains("longer to answer than it did"));
    CHECK_THAT(at(0ms, 1s), Catch::Contains("longer to answer than it did"));
    CHECK_THAT(at(41ms, 40ms), Catch::Contains("ran backwards"));
    // Up to a millisecond more than possible passes as rounding of a slewed clock, but doesn't count.
    const auto negative = world.told({0us, 0us, 100us}, world.reading(0us).wall, world.reading(600us).wall);
    REQUIRE(negative);
    CHECK_FALSE(tac::best({negative->measurement}));
}
