// Token::sign against a bare loop of C_SignInit and C_Sign: the same module, key and number of threads, in
// turns, because the machine's speed drifts. Hidden: it measures, it doesn't judge ("test_hsm [speed]").
#include <array>
#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/hsm/bare.h"
#include "tests/hsm/opened.h"

using namespace kokuin;
using namespace kokuin::hsm;
using kokuin::testing::Hsm;
using kokuin::testing::hsm_under_test;

namespace {

/// Calls `sign(thread)` from `threads` threads for a while; calls per second.
template <typename Sign>
double rate(unsigned threads, Sign sign) {
    std::atomic<bool> stop{false};
    std::atomic<long> done{0};
    std::vector<std::thread> running;
    const auto began = std::chrono::steady_clock::now();
    for (unsigned t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            long count = 0;
            for (; !stop; ++count) sign(t);
            done += count;
        });
    std::this_thread::sleep_for(milliseconds(400));
    stop = true;
    for (auto& thread : running) thread.join();
    return static_cast<double>(done) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

TEST_CASE("speed of the token against the bare module", "[.speed]") {
    const auto hsm = hsm_under_test();
    auto options = options_for(*hsm, hsm->label());
    options.sessions = 8;
    const auto token = must(Token::open(std::move(options)));
    const auto key = must(token->generate_rsa("tsu-1"));
    const Bytes message = random_octets(400);  // about the signed attributes of a token

    Bare p11(*hsm);
    const CK_SLOT_ID slot = p11.slot();
    std::array<CK_SESSION_HANDLE, 8> sessions{};  // the Token's login holds for them too
    for (auto& session : sessions)
        REQUIRE(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session) == CKR_OK);
    CK_OBJECT_CLASS wanted = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE search{CKA_CLASS, &wanted, sizeof wanted};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    REQUIRE(p11->C_FindObjectsInit(sessions[0], &search, 1) == CKR_OK);
    REQUIRE(p11->C_FindObjects(sessions[0], &object, 1, &count) == CKR_OK);
    p11->C_FindObjectsFinal(sessions[0]);
    std::atomic<bool> good{true};
    const auto bare = [&](unsigned thread) {
        CK_MECHANISM mechanism{CKM_SHA512_RSA_PKCS, nullptr, 0};
        std::array<CK_BYTE, 512> signature{};
        CK_ULONG length = signature.size();
        if (p11->C_SignInit(sessions[thread], &mechanism, object) != CKR_OK ||
            p11->C_Sign(sessions[thread], const_cast<CK_BYTE*>(message.data()), message.size(),
                        signature.data(), &length) != CKR_OK)
            good = false;
    };
    const auto ours = [&](unsigned) {
        if (!token->sign(key, pki::Hash::sha512, message)) good = false;
    };
    // Threads of the bare loop, and of ours on eight sessions: a crowd must not cost the HSM its work.
    for (const auto& [theirs, mine] : {std::pair{1U, 1U}, {2U, 2U}, {8U, 8U}, {8U, 64U}}) {
        double bare_sum = 0;
        double our_sum = 0;
        for (int turn = 0; turn < 8; ++turn) {
            bare_sum += rate(theirs, bare);
            our_sum += rate(mine, ours);
        }
        std::printf("bare %u threads %.0f/s, Token::sign %u threads %.0f/s, ratio %.3f\n", theirs,
                    bare_sum / 8, mine, our_sum / 8, our_sum / bare_sum);
    }
    CHECK(good);
}
