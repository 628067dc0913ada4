#include "pki/public_key.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/pki/workshop.h"

using namespace kokuin;
using workshop::Folder;

TEST_CASE("signatures of openssl are right, anything else is wrong") {
    const Folder folder;
    folder.root("root");
    folder.must("printf message > message");
    const auto key = pki::PublicKey::from_certificate(folder.certificate("root"));
    REQUIRE(key.ok());
    CHECK(key->bits() == 2048);
    CHECK(key->exponent() == Bytes{1, 0, 1});
    std::string modulus = folder.must("openssl x509 -in root.pem -noout -modulus");
    for (char& c : modulus) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK("modulus=" + to_hex(key->modulus()) + "\n" == modulus);

    for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256, pki::Hash::sha384, pki::Hash::sha512}) {
        folder.must("openssl dgst -" + std::string(pki::name(hash)) +
                    " -sign root.key -out signature message");
        const std::string text = folder.read("signature");
        Bytes signature(text.begin(), text.end());
        const View message = as_view("message");
        CHECK(key->verify(hash, message, signature));
        CHECK_FALSE(key->verify(hash == pki::Hash::sha512 ? pki::Hash::sha256 : pki::Hash::sha512, message,
                                signature));
        CHECK_FALSE(key->verify(hash, as_view("massage"), signature));
        CHECK_FALSE(key->verify(hash, message, {}));
        CHECK_FALSE(key->verify(hash, message, View(signature).first(255)));
        for (const std::size_t i : {std::size_t{0}, std::size_t{100}, std::size_t{255}}) {
            Bytes changed = signature;
            changed[i] ^= 1U;
            CHECK_FALSE(key->verify(hash, message, changed));
        }
        Bytes longer = signature;
        longer.insert(longer.begin(), 0);
        CHECK_FALSE(key->verify(hash, message, longer));
        CHECK_FALSE(key->verify(hash, message, Bytes(256, 0xff)));  // not below the modulus
    }
}

TEST_CASE("other keys than RSA are refused in words") {
    const Folder folder;
    folder.must(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out ec.pem -subj "
        "/CN=ec");
    const auto key = pki::PublicKey::from_certificate(folder.certificate("ec"));
    REQUIRE_FALSE(key.ok());
    CHECK(key.error().text == "certificate of CN=ec: the public key is not an RSA key");
    CHECK_FALSE(pki::PublicKey::from_spki(as_view("rubbish")).ok());
}

TEST_CASE("one key verifies for many threads at once") {
    const Folder folder;
    folder.root("root");
    folder.must("printf message > message; openssl dgst -sha512 -sign root.key -out signature message");
    const auto key = pki::PublicKey::from_certificate(folder.certificate("root"));
    REQUIRE(key.ok());
    const std::string text = folder.read("signature");
    const Bytes right(text.begin(), text.end());
    Bytes wrong = right;
    wrong[7] ^= 4U;
    std::atomic<int> mistakes{0};
    constexpr int rounds = 500;
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) {
                if (!key->verify(pki::Hash::sha512, as_view("message"), right)) ++mistakes;
                if (key->verify(pki::Hash::sha512, as_view("message"), wrong)) ++mistakes;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(mistakes == 0);
    const auto us =
        std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start).count();
    std::printf("RSA-2048 verification: %.1f us each (wall, 4 threads together)\n",
                static_cast<double>(us) / (4 * 2 * rounds));
}
