// A token that dies for real: one behind p11-kit's remoting, killed under load (design section 8).
#include <signal.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "pki/public_key.h"
#include "tests/hsm/bare.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using Catch::Matchers::Contains;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;
using kokuin::testing::RemoteHsm;
using Clock = std::chrono::steady_clock;

namespace {

/// What a Token tells, and a way to wait for it.
class Events {
  public:
    std::function<void(const TokenEvent&)> listener() {
        return [this](const TokenEvent& event) {
            const std::lock_guard lock(mutex_);
            events_.push_back(event);
            changed_.notify_all();
        };
    }
    /// Waits until the `count`th event of this kind has been told.
    bool wait(TokenEvent::Kind kind, int count = 1) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30), [&] {
            int seen = 0;
            for (const auto& event : events_) seen += event.kind == kind;
            return seen >= count;
        });
    }
    std::vector<TokenEvent> all() {
        const std::lock_guard lock(mutex_);
        return events_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<TokenEvent> events_;
};

/// Signs without pause from several threads, checks everything that comes out, counts.
class Load {
  public:
    Load(Token& token, const Key& key) : half_(must(pki::PublicKey::from_spki(key.spki()))) {
        for (int i = 0; i < 4; ++i)
            threads_.emplace_back([this, &token, key] {
                while (!stop_) {
                    const Bytes message = random_octets(64);
                    const auto began = Clock::now();
                    const auto signature = token.sign(key, pki::Hash::sha512, message);
                    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - began).count();
                    if (signature) {
                        ++(half_.verify(pki::Hash::sha512, message, *signature) ? good : bad);
                    } else {
                        ++failed;
                        if (signature.error().kind != Error::Kind::environment) ++bad;
                        if (took > slowest) slowest = took;
                        std::this_thread::sleep_for(milliseconds(1));
                    }
                }
            });
    }
    ~Load() { stop(); }
    void stop() {
        stop_ = true;
        for (auto& thread : threads_)
            if (thread.joinable()) thread.join();
    }
    /// Returns once `more` further signatures have been made.
    bool advance(int more) {
        const int goal = good + more;
        const auto end = Clock::now() + std::chrono::seconds(30);
        while (good < goal && Clock::now() < end) std::this_thread::sleep_for(milliseconds(2));
        return good >= goal;
    }

    std::atomic<int> good{0};
    std::atomic<int> bad{0};
    std::atomic<int> failed{0};
    std::atomic<long> slowest{0};  // ms, of the failures

  private:
    pki::PublicKey half_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("the remote is killed under load and comes back: so does signing") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    RemoteHsm remote(*hsm);
    Events events;
    auto options = options_for(RemoteHsm::module(), hsm->label());
    options.on_event = events.listener();
    const auto token = must(Token::open(std::move(options)));
    const auto key = must(token->generate_rsa("tsu-1"));
    Load load(*token, key);
    REQUIRE(load.advance(20));
    for (int round = 1; round <= 5; ++round) {
        remote.kill();
        REQUIRE(events.wait(TokenEvent::Kind::lost, round));
        CHECK_FALSE(token->available());
        CHECK_THAT(token->state(), Contains("lost, coming back by itself"));
        CHECK_THAT(events.all().back().text, Contains("CKR_"));
        const auto began = Clock::now();
        const auto refused = token->sign(key, pki::Hash::sha512, {});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Error::Kind::environment);
        CHECK(Clock::now() - began < milliseconds(500));
        CHECK_FALSE(token->keys());
        CHECK_FALSE(token->find_key("tsu-1"));
        remote.start();
        REQUIRE(events.wait(TokenEvent::Kind::back, round));
        REQUIRE(load.advance(20));
        CHECK(token->available());
    }
    load.stop();
    CHECK(load.bad == 0);
    CHECK(load.failed > 0);
    CHECK(load.slowest < 2000);
    CHECK(token->recoveries() == 5);
    CHECK(must(token->find_key("tsu-1")).spki() == key.spki());
}

TEST_CASE("an idle token's loss is seen without a request") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    RemoteHsm remote(*hsm);
    Events events;
    auto options = options_for(RemoteHsm::module(), hsm->label());
    options.on_event = events.listener();
    const auto token = must(Token::open(std::move(options)));
    remote.kill();
    REQUIRE(events.wait(TokenEvent::Kind::lost));
    CHECK_FALSE(token->available());
    remote.start();
    REQUIRE(events.wait(TokenEvent::Kind::back));
    CHECK(token->available());
}

TEST_CASE("a Token goes at once while its token is away") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    RemoteHsm remote(*hsm);
    Events events;
    auto options = options_for(RemoteHsm::module(), hsm->label());
    options.retry_first = options.retry_most = milliseconds(60'000);
    options.on_event = events.listener();
    auto token = must(Token::open(std::move(options)));
    remote.kill();
    REQUIRE(events.wait(TokenEvent::Kind::lost));
    const auto began = Clock::now();
    token.reset();
    CHECK(Clock::now() - began < std::chrono::seconds(5));
}

TEST_CASE("two Tokens of one module come back together, without pulling it from under each other") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    hsm->add_token("second");
    RemoteHsm remote(*hsm);
    Modules modules;
    const auto module = must(modules.get(RemoteHsm::module()));
    std::array<Events, 2> events;
    std::vector<std::unique_ptr<Token>> tokens;
    for (std::size_t i = 0; i < 2; ++i) {
        auto options = options_for("", i == 0 ? hsm->label() : "second");
        options.on_event = events[i].listener();
        tokens.push_back(must(Token::open(std::move(options), module)));
    }
    const auto one = must(tokens[0]->generate_rsa("one"));
    const auto two = must(tokens[1]->generate_rsa("two"));
    Load first(*tokens[0], one);
    Load second(*tokens[1], two);
    REQUIRE(first.advance(10));
    REQUIRE(second.advance(10));
    remote.kill();
    REQUIRE(events[0].wait(TokenEvent::Kind::lost));
    REQUIRE(events[1].wait(TokenEvent::Kind::lost));
    remote.start();
    REQUIRE(events[0].wait(TokenEvent::Kind::back));
    REQUIRE(events[1].wait(TokenEvent::Kind::back));
    CHECK(first.advance(20));
    CHECK(second.advance(20));
    first.stop();
    second.stop();
    CHECK(first.bad == 0);
    CHECK(second.bad == 0);
}

TEST_CASE("sessions closed and the module finalised behind our back: signing comes back") {
    const auto hsm = hsm_under_test();
    Events events;
    auto options = options_for(*hsm, hsm->label());
    options.on_event = events.listener();
    const auto token = must(Token::open(std::move(options)));
    const auto key = must(token->generate_rsa("tsu-1"));
    const auto half = must(pki::PublicKey::from_spki(key.spki()));
    // The same library: its state is the process's.
    const Bare p11(*hsm);
    const auto signs = [&] {
        const auto signature = token->sign(key, pki::Hash::sha384, as_view("x"));
        return signature && half.verify(pki::Hash::sha384, as_view("x"), *signature);
    };
    REQUIRE(signs());
    std::array<CK_SLOT_ID, 16> slots{};
    CK_ULONG count = slots.size();
    REQUIRE(p11->C_GetSlotList(CK_TRUE, slots.data(), &count) == CKR_OK);
    for (CK_ULONG i = 0; i < count; ++i) p11->C_CloseAllSessions(slots[i]);
    CHECK_FALSE(signs());
    REQUIRE(events.wait(TokenEvent::Kind::back, 1));
    CHECK(signs());
    REQUIRE(p11->C_Finalize(nullptr) == CKR_OK);
    REQUIRE(events.wait(TokenEvent::Kind::back, 2));
    CHECK(signs());
}

TEST_CASE("the PIN was changed while the token was away: one login, then none") {
    signal(SIGPIPE, SIG_IGN);
    const auto hsm = hsm_under_test();
    RemoteHsm remote(*hsm);
    Events events;
    auto options = options_for(RemoteHsm::module(), hsm->label());
    options.on_event = events.listener();
    const auto token = must(Token::open(std::move(options)));
    remote.kill();
    REQUIRE(events.wait(TokenEvent::Kind::lost));
    const auto changed = testing::run({"pkcs11-tool", "--module", hsm->module_for_others(), "--token-label",
                                       hsm->label(), "--login", "--login-type", "user", "--pin", Hsm::pin,
                                       "--change-pin", "--new-pin", "new-pin-999"});
    INFO(changed.output);
    REQUIRE(changed.status == 0);
    remote.start();
    REQUIRE(events.wait(TokenEvent::Kind::refused));
    CHECK_FALSE(token->available());
    CHECK_THAT(token->state(), Contains("out of use") && Contains("CKR_PIN_INCORRECT"));
    CHECK_FALSE(token->find_key("tsu-1"));
    CHECK(events.all().back().kind == TokenEvent::Kind::refused);
}
