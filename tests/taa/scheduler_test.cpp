#include "taa/scheduler.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <map>

using namespace kokuin;
using namespace kokuin::taa;
using namespace std::chrono_literals;

namespace {

/// A monotonic clock that stands still until it is told.
class HandClock final : public MonoClock {
  public:
    [[nodiscard]] MonoTime now() const override { return MonoTime(nanoseconds(time_.load())); }
    void advance(nanoseconds by) { time_ += by.count(); }

  private:
    std::atomic<std::int64_t> time_{nanoseconds(1000s).count()};
};

/// Counts audits, and lets a test wait for them without guessing how long.
struct Ledger {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, int> audits;
    int requested = 0;
    Ending ending = Ending::settled;
    bool hold = false;  // audits wait inside until it is false

    Ending audit(const std::string& tsu, bool asked) {
        std::unique_lock lock(mutex);
        ++audits[tsu];
        requested += asked ? 1 : 0;
        changed.notify_all();
        changed.wait(lock, [&] { return !hold; });
        return ending;
    }
    bool reaches(const std::string& tsu, int count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 20s, [&] { return audits[tsu] >= count; });
    }
    int count(const std::string& tsu) {
        const std::lock_guard lock(mutex);
        return audits[tsu];
    }
};

struct Fixture {
    HandClock clock;
    Ledger ledger;
    Scheduler scheduler{{1h, 1min, 10s},
                        {"a", "b"},
                        clock,
                        [this](const std::string& tsu, bool asked) { return ledger.audit(tsu, asked); },
                        [] { return 0.0; }};
};

}  // namespace

TEST_CASE("every TSU is audited at start, then by the interval") {
    Fixture f;
    f.scheduler.start();
    REQUIRE(f.ledger.reaches("a", 1));
    REQUIRE(f.ledger.reaches("b", 1));
    f.clock.advance(1h);
    f.scheduler.look_again();
    REQUIRE(f.ledger.reaches("a", 2));
    REQUIRE(f.ledger.reaches("b", 2));
    f.scheduler.stop();
    CHECK(f.ledger.count("a") == 2);
    CHECK(f.ledger.count("b") == 2);
}

TEST_CASE("a request audits that TSU alone") {
    Fixture f;
    f.scheduler.start();
    REQUIRE(f.ledger.reaches("a", 1));
    REQUIRE(f.ledger.reaches("b", 1));
    f.clock.advance(15s);
    REQUIRE(f.scheduler.request("a"));
    REQUIRE(f.ledger.reaches("a", 2));
    CHECK_FALSE(f.scheduler.request("nobody"));
    f.scheduler.stop();
    CHECK(f.ledger.count("b") == 1);
    CHECK(f.ledger.requested == 1);
}

TEST_CASE("a TSU that hangs delays no other, and a running audit serves requests") {
    Fixture f;
    f.ledger.hold = true;
    f.scheduler.start();
    REQUIRE(f.ledger.reaches("a", 1));
    REQUIRE(f.ledger.reaches("b", 1));  // although a's has not ended
    const auto answer = f.scheduler.request("a");
    REQUIRE(answer);
    CHECK(answer->running);
    {
        const std::lock_guard lock(f.ledger.mutex);
        f.ledger.hold = false;
    }
    f.ledger.changed.notify_all();
    f.scheduler.stop();
    CHECK(f.ledger.count("a") == 1);
}

TEST_CASE("failures are retried by the real clock too") {
    SystemMonoClock clock;
    Ledger ledger;
    ledger.ending = Ending::open;
    Scheduler scheduler(
        {100ms, 20ms, 0s}, {"a"}, clock,
        [&](const std::string& tsu, bool asked) { return ledger.audit(tsu, asked); }, [] { return 0.0; });
    scheduler.start();
    CHECK(ledger.reaches("a", 4));
    scheduler.stop();
}

TEST_CASE("stop ends a scheduler that waits, or was never started") {
    Fixture f;
    f.scheduler.stop();
    Fixture g;
    g.scheduler.start();
    g.scheduler.stop();
    g.scheduler.stop();
    CHECK(g.ledger.count("a") <= 1);
}

namespace {

/// Two hundred TSUs of one TAA. Time passes in steps of one turn, and while more than one is due exactly one
/// begins in each.
struct Crowd {
    static constexpr std::size_t size = 200;
    static constexpr auto spacing = 50ms;

    static std::vector<std::string> names() {
        std::vector<std::string> out;
        for (std::size_t i = 0; i < size; ++i) out.push_back(std::to_string(i));
        return out;
    }
    Ending audit(const std::string& tsu) {
        const std::lock_guard lock(mutex);
        ++begun;
        ++audits[tsu];
        changed.notify_all();
        return ending;
    }
    /// True if exactly `count` audits have begun: fewer only if none comes in 20 s.
    bool exactly(std::size_t count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 20s, [&] { return begun >= count; }) && begun == count;
    }
    /// So many turns pass, and in each of them one audit begins and no other.
    bool one_by_one(std::size_t turns) {
        for (std::size_t i = 0; i < turns; ++i) {
            clock.advance(spacing);
            scheduler.look_again();
            if (!exactly(++expected)) return false;
        }
        return true;
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::size_t begun = 0;
    std::size_t expected = 0;
    std::map<std::string, int> audits;
    Ending ending = Ending::settled;
    HandClock clock;
    Scheduler scheduler{{1h, 1min, 10s, spacing},
                        names(),
                        clock,
                        [this](const std::string& tsu, bool) { return audit(tsu); },
                        [] { return 0.5; }};
};

}  // namespace

TEST_CASE("many TSUs: no stampede at a start, after an outage, or when all ask at once") {
    Crowd crowd;
    crowd.ending = Ending::open;  // the network is down
    crowd.scheduler.start();
    REQUIRE(crowd.exactly(++crowd.expected));
    REQUIRE(crowd.one_by_one(Crowd::size - 1));
    CHECK(crowd.audits.size() == Crowd::size);
    // The outage lasts: all are tried again after a second, two, four.
    REQUIRE(crowd.one_by_one(2 * Crowd::size));

    // The network is back, and all ask for an audit at the same moment: each has its turn, once.
    {
        const std::lock_guard lock(crowd.mutex);
        crowd.ending = Ending::settled;
        crowd.audits.clear();
    }
    for (const auto& name : Crowd::names()) REQUIRE(crowd.scheduler.request(name));
    REQUIRE(crowd.one_by_one(Crowd::size));
    crowd.scheduler.stop();
    CHECK(crowd.audits.size() == Crowd::size);
}
