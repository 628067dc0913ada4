#include "tsa/protocol/response.h"

#include <catch2/catch.hpp>

#include "base/der.h"
#include "tests/tsp/support.h"

using namespace kokuin;
using support::hex;
using support::Pki;
using tsp::FailInfo;

namespace {
struct Known {
    FailInfo info;
    const char* bits;     // DER
    const char* openssl;  // what openssl prints
};
// RFC 3161 2.4.2: badAlg (0), badRequest (2), badDataFormat (5), timeNotAvailable (14), unacceptedPolicy
// (15), unacceptedExtension (16), addInfoNotAvailable (17), systemFailure (25). X.690 11.2.2: no trailing
// zero bits.
const Known all[] = {
    {FailInfo::bad_alg, "03 02 07 80", "unrecognized or unsupported algorithm identifier"},
    {FailInfo::bad_request, "03 02 05 20", "transaction not permitted or supported"},
    {FailInfo::bad_data_format, "03 02 02 04", "the data submitted has the wrong format"},
    {FailInfo::time_not_available, "03 03 01 00 02", "the TSA's time source is not available"},
    {FailInfo::unaccepted_policy, "03 03 00 00 01", "the requested TSA policy is not supported by the TSA"},
    {FailInfo::unaccepted_extension, "03 04 07 00 00 80",
     "the requested extension is not supported by the TSA"},
    {FailInfo::add_info_not_available, "03 04 06 00 00 40",
     "the additional information requested could not be understood or is not available"},
    {FailInfo::system_failure, "03 05 06 00 00 00 40", "the request cannot be handled due to system failure"},
};
}  // namespace

TEST_CASE("every rejection is DER, and openssl prints its reason") {
    const Pki& pki = Pki::instance();
    for (const auto& known : all) {
        const tsp::Rejection rejection = tsp::reject(known.info, "secret detail");
        const Bytes der = tsp::rejection(rejection);
        const Bytes expected = der::sequence(
            {der::sequence({hex("02 01 02"), der::sequence({der::utf8(rejection.text)}), hex(known.bits)})});
        CHECK(to_hex(der) == to_hex(expected));
        pki.write("no.tsr", der);
        const std::string text = pki.must("openssl ts -reply -text -in no.tsr");
        INFO(text);
        CHECK(text.find("Status: Rejected.") != std::string::npos);
        CHECK(text.find("Status description: " + rejection.text) != std::string::npos);
        CHECK(text.find(known.openssl) != std::string::npos);
        CHECK(text.find("secret") == std::string::npos);
        const auto back = tsp::parse_response(der);
        REQUIRE(back.ok());
        CHECK(back->status == 2);
        CHECK(back->strings == std::vector<std::string>{rejection.text});
        CHECK(back->fail_info == std::vector<unsigned>{static_cast<unsigned>(known.info)});
        CHECK_FALSE(back->granted());
        CHECK(back->text() == "rejection (2), " + std::string(tsp::name(known.info)) + ": " + rejection.text);
    }
}

TEST_CASE("a granted response has a status and a token, nothing else") {
    const Bytes token = der::sequence({Bytes(1000, 0x05)});
    const Bytes der = tsp::granted(token);
    CHECK(der == der::sequence({hex("30 03 02 01 00"), token}));
    const auto back = tsp::parse_response(der);
    REQUIRE(back.ok());
    CHECK(back->granted());
    CHECK(*back->token == token);
    CHECK(back->strings.empty());
}

TEST_CASE("responses of foreign servers") {
    const auto read = [](const std::string& text) { return tsp::parse_response(hex(text)); };
    CHECK(read("30 07 30 03 02 01 01 30 00")->granted());
    CHECK_FALSE(read("30 05 30 03 02 01 00").ok());        // granted, no token
    CHECK_FALSE(read("30 07 30 03 02 01 02 30 00").ok());  // rejected, token
    CHECK_FALSE(read("30 03 30 01 05").ok());
    CHECK(read("30 05 30 03 02 01 03")->text() == "waiting (3)");
    CHECK(read("30 05 30 03 02 01 63")->text() == "unknown status (99)");
    // Named bits with trailing zeros, several, unknown, none.
    CHECK(read("30 0b 30 09 02 01 02 03 04 00 04 00 00")->fail_info == std::vector<unsigned>{5});
    CHECK(read("30 09 30 07 02 01 02 03 02 00 a1")->fail_info == std::vector<unsigned>{0, 2, 7});
    CHECK(read("30 09 30 07 02 01 02 03 02 00 01")->text() == "rejection (2), failInfo bit 7");
    CHECK(read("30 08 30 06 02 01 02 03 01 00")->fail_info.empty());
    CHECK_FALSE(read("30 08 30 06 02 01 02 03 01 03").ok());
    CHECK_FALSE(read("30 09 30 07 02 01 02 03 02 09 01").ok());
    // Control characters of a foreign server don't reach a terminal.
    CHECK(read("30 0b 30 09 02 01 02 30 04 0c 02 1b 41")->text() == "rejection (2):  A");
    for (const auto& known : all) {
        support::maltreat(tsp::rejection(tsp::reject(known.info, "")), [](const Bytes& der) {
            const auto response = tsp::parse_response(der);
            if (response && response->granted()) FAIL("a rejection became a token");
            if (response) static_cast<void>(response->text());
        });
    }
}
