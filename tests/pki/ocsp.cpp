// OCSP against openssl's client and responder. The reader has to be right about what others sign, and the
// writer must be understood by others.
#include "pki/ocsp.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "base/der.h"
#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace kokuin::pki;
using namespace std::chrono_literals;

namespace {

/// A CA of openssl with an index, a TSU it has issued, one it has revoked, and a delegated responder.
struct OcspCa {
    workshop::Folder folder;

    OcspCa() {
        folder.root("ca");
        folder.issue("good", "ca", workshop::tsu_extensions);
        folder.issue("bad", "ca", workshop::tsu_extensions);
        folder.issue("responder", "ca",
                     "keyUsage=critical,digitalSignature\nextendedKeyUsage=OCSPSigning\nnoCheck=ignored");
        folder.issue("unchecked", "ca", "extendedKeyUsage=OCSPSigning");
        folder.issue("wrong", "ca", "extendedKeyUsage=clientAuth\nnoCheck=ignored");
        folder.issue("ended", "ca", "extendedKeyUsage=OCSPSigning\nnoCheck=ignored", "-days 1");
        folder.crl("list", "ca", "bad");
        // openssl x509 keeps no index; openssl ca does for what it revokes. The good one is put in by hand.
        const auto serial = folder.must("openssl x509 -in good.pem -noout -serial").substr(7);
        std::ofstream(folder.at("ca.index"), std::ios::app)
            << "V\t330101000000Z\t\t" << serial.substr(0, serial.find('\n')) << "\tunknown\t/CN=good\n";
    }

    /// What openssl's responder says about these certificates.
    [[nodiscard]] Bytes asked(const std::string& names, const std::string& signer,
                              const std::string& more = "-ndays 1",
                              const std::string& request = "-sha256") const {
        std::string certificates;
        std::istringstream words(names);
        for (std::string one; words >> one;) certificates += " " + request + " -cert " + one + ".pem";
        folder.must("openssl ocsp -issuer ca.pem" + certificates + " -no_nonce -reqout request.der");
        folder.must("openssl ocsp -index ca.index -CA ca.pem -rsigner " + signer + ".pem -rkey " + signer +
                    ".key " + more + " -reqin request.der -respout response.der");
        const auto text = folder.read("response.der");
        return Bytes(text.begin(), text.end());
    }
    [[nodiscard]] Result<OcspVerdict> check(View response, const std::string& name,
                                            WallTime at = SystemWallClock().now(),
                                            const OcspRules& rules = {}) const {
        const auto read = OcspResponse::decode(response);
        if (!read) return read.error();
        return read->check(folder.certificate(name), folder.certificate("ca"), at, rules);
    }
    [[nodiscard]] SignFunction sign(const std::string& signer) const {
        return [this, signer](Hash hash, View message) -> Result<Bytes> {
            return folder.sign(signer, hash, message);
        };
    }
};

const OcspCa& ocsp_ca() {
    static const OcspCa made;
    return made;
}

std::string why(const Result<OcspVerdict>& verdict) {
    REQUIRE_FALSE(verdict);
    CHECK(verdict.error().kind == Error::Kind::no);
    return verdict.error().text;
}

OcspAnswer answer_about(const std::string& name, SingleResponse::State state) {
    const auto issuer = ocsp_ca().folder.certificate("ca");
    const auto now = std::chrono::floor<seconds>(SystemWallClock().now());
    OcspAnswer answer;
    answer.responder_key_hash = key_hash(issuer, Hash::sha1);
    answer.produced_at = now;
    SingleResponse one;
    one.id = CertId::of(ocsp_ca().folder.certificate(name), issuer, Hash::sha256);
    one.state = state;
    one.this_update = now;
    one.next_update = now + 24h;
    answer.responses.push_back(one);
    return answer;
}

}  // namespace

TEST_CASE("a request is the one that openssl makes, octet for octet, with either hash") {
    const auto& folder = ocsp_ca().folder;
    for (const auto hash : {Hash::sha1, Hash::sha256}) {
        folder.must("openssl ocsp -issuer ca.pem -" + std::string(name(hash)) +
                    " -cert good.pem -no_nonce -reqout q.der");
        const auto theirs = folder.read("q.der");
        OcspRequest ours;
        ours.ids.push_back(CertId::of(folder.certificate("good"), folder.certificate("ca"), hash));
        CHECK(to_hex(ours.encode()) == to_hex(as_view(theirs)));
        const auto read = OcspRequest::decode(as_view(theirs));
        REQUIRE(read);
        CHECK(read->ids == ours.ids);
        CHECK_FALSE(read->nonce);
        CHECK(read->ids[0].means(folder.certificate("good"), folder.certificate("ca")));
        CHECK_FALSE(read->ids[0].means(folder.certificate("bad"), folder.certificate("ca")));
        CHECK_FALSE(read->ids[0].means(folder.certificate("good"), folder.certificate("bad")));
    }
}

TEST_CASE("several certificates, a nonce and a signature in a request are read") {
    const auto& folder = ocsp_ca().folder;
    folder.must(
        "openssl ocsp -issuer ca.pem -cert good.pem -sha256 -cert bad.pem -nonce -signer good.pem -signkey "
        "good.key -reqout q.der");
    const auto octets = folder.read("q.der");
    const auto read = OcspRequest::decode(as_view(octets));
    REQUIRE(read);
    REQUIRE(read->ids.size() == 2);
    CHECK(read->ids[0] == CertId::of(folder.certificate("good"), folder.certificate("ca"), Hash::sha1));
    CHECK(read->ids[1] == CertId::of(folder.certificate("bad"), folder.certificate("ca"), Hash::sha256));
    REQUIRE(read->nonce);
    CHECK(read->nonce->size() == 16);
    const auto again = OcspRequest::decode(read->encode());
    REQUIRE(again);
    CHECK(again->ids == read->ids);
    CHECK(again->nonce == read->nonce);
}

TEST_CASE("what isn't a request is refused") {
    OcspRequest request;
    request.ids.push_back(
        CertId::of(ocsp_ca().folder.certificate("good"), ocsp_ca().folder.certificate("ca"), Hash::sha256));
    auto good = request.encode();
    REQUIRE(OcspRequest::decode(good));
    for (std::size_t length = 0; length < good.size(); ++length)
        CHECK_FALSE(OcspRequest::decode(View(good).first(length)));
    good.push_back(0);
    CHECK_FALSE(OcspRequest::decode(good));
    CHECK_FALSE(OcspRequest::decode(OcspRequest().encode()));
    request.ids.resize(100, request.ids.front());
    CHECK(OcspRequest::decode(request.encode()));
    request.ids.resize(101, request.ids.front());
    CHECK_FALSE(OcspRequest::decode(request.encode()));
    // A critical extension nobody knows (RFC 6960 4.4).
    const auto id =
        der::sequence({der::sequence({der::algorithm("1.3.14.3.2.26", true), der::octets(Bytes(20)),
                                      der::octets(Bytes(20)), der::integer(1)})});
    const auto with = [&](bool critical) {
        const Bytes flag = critical ? der::boolean_true() : Bytes();
        return der::sequence({der::sequence(
            {der::sequence({id}),
             der::tlv(der::context(2, true),
                      der::sequence({der::sequence({der::oid("1.2.3.4"), flag, der::octets(Bytes(3))})}))})});
    };
    CHECK(OcspRequest::decode(with(false)));
    CHECK_FALSE(OcspRequest::decode(with(true)));
}

TEST_CASE("openssl's responder is believed: the issuer itself, and one it has named") {
    for (const std::string signer : {"ca", "responder", "unchecked"})
        for (const std::string more : {"-ndays 1", "-ndays 1 -resp_key_id", "-ndays 1 -rmd sha512"}) {
            INFO(signer << " " << more);
            const auto response = ocsp_ca().asked("good bad", signer, more);
            const auto good = ocsp_ca().check(response, "good");
            INFO((good ? "" : good.error().text));
            REQUIRE(good);
            CHECK(good->response.state == SingleResponse::State::good);
            CHECK_FALSE(good->revoked_text(ocsp_ca().folder.certificate("good")));
            CHECK(good->delegate.has_value() == (signer != "ca"));
            CHECK(good->delegate_unchecked == (signer == "unchecked"));
            const auto bad = ocsp_ca().check(response, "bad");
            REQUIRE(bad);
            CHECK(bad->response.state == SingleResponse::State::revoked);
            CHECK(bad->response.reason == Reason::key_compromise);
            CHECK(SystemWallClock().now() - bad->response.revoked_at < 1h);
            CHECK(bad->revoked_text(ocsp_ca().folder.certificate("bad"))->find("keyCompromise") !=
                  std::string::npos);
            // Another certificate isn't answered for.
            CHECK(why(ocsp_ca().check(response, "wrong")).find("says nothing of") != std::string::npos);
        }
    const auto unknown = ocsp_ca().check(ocsp_ca().asked("wrong", "ca"), "wrong");
    REQUIRE(unknown);
    CHECK(unknown->response.state == SingleResponse::State::unknown);
}

TEST_CASE("whom the issuer hasn't named isn't believed") {
    ocsp_ca().folder.root("stranger");
    CHECK(why(ocsp_ca().check(ocsp_ca().asked("good", "stranger"), "good")).find("wasn't issued by") !=
          std::string::npos);
    CHECK(why(ocsp_ca().check(ocsp_ca().asked("good", "wrong"), "good")).find("isn't made for") !=
          std::string::npos);
    // A TSU of the same CA isn't its responder either.
    CHECK(why(ocsp_ca().check(ocsp_ca().asked("good", "bad"), "good")).find("isn't made for") !=
          std::string::npos);
    // Nor one whose certificate is over: ended is valid for a day.
    const auto late = ocsp_ca().asked("good", "ended", "-ndays 5");
    CHECK(ocsp_ca().check(late, "good"));
    CHECK(why(ocsp_ca().check(late, "good", SystemWallClock().now() + 48h)).find("isn't valid at") !=
          std::string::npos);
    // SHA-1 was good enough once (RFC 6960 4.3), not now.
    CHECK(why(ocsp_ca().check(ocsp_ca().asked("good", "ca", "-ndays 1 -rmd sha1 -resp_no_certs"), "good"))
              .find("isn't signed by") != std::string::npos);
    CHECK(why(ocsp_ca().check(ocsp_ca().asked("good", "responder", "-ndays 1 -rmd sha1"), "good"))
              .find("isn't signed by") != std::string::npos);
    // Without its certificate nobody knows the responder.
    CHECK_FALSE(ocsp_ca().check(ocsp_ca().asked("good", "responder", "-ndays 1 -resp_no_certs"), "good"));
}

TEST_CASE("a response counts from its thisUpdate to its nextUpdate") {
    const auto now = SystemWallClock().now();
    const auto day = ocsp_ca().asked("good", "ca", "-ndays 1");
    CHECK(ocsp_ca().check(day, "good", now + 23h));
    CHECK(ocsp_ca().check(day, "good", now + 24h + 4min));
    CHECK(why(ocsp_ca().check(day, "good", now + 24h + 6min)).find("ended on") != std::string::npos);
    CHECK(why(ocsp_ca().check(day, "good", now - 6min)).find("of the future") != std::string::npos);
    const auto undated = ocsp_ca().asked("good", "ca", "");
    CHECK_FALSE(OcspResponse::decode(undated)->answer().responses.front().next_update);
    CHECK(ocsp_ca().check(undated, "good", now + 24h));
    CHECK_FALSE(ocsp_ca().check(undated, "good", now + 25h));
    CHECK_FALSE(ocsp_ca().check(undated, "good", now + 2h, {0s, 1h}));
}

TEST_CASE("a response that was changed in any octet says nothing else") {
    for (const std::string signer : {"ca", "responder"}) {
        // By the issuer itself nothing else is in it than what is signed.
        const auto response =
            ocsp_ca().asked("bad", signer, signer == "ca" ? "-ndays 1 -resp_no_certs" : "-ndays 1");
        REQUIRE(ocsp_ca().check(response, "bad"));
        std::size_t believed = 0;
        for (std::size_t i = 0; i < response.size(); ++i)
            for (const std::uint8_t flip : {0x01, 0x80}) {
                auto damaged = response;
                damaged[i] ^= flip;
                const auto verdict = ocsp_ca().check(damaged, "bad");
                if (!verdict) continue;
                INFO(signer << ", octet " << i);
                CHECK(verdict->response.state == SingleResponse::State::revoked);
                ++believed;
            }
        CHECK(believed == 0);
    }
}

TEST_CASE("openssl believes the responses that are made here") {
    const auto& folder = ocsp_ca().folder;
    struct Case {
        SingleResponse::State state;
        std::optional<Reason> reason;
        const char* says;
    };
    for (const auto& one : {Case{SingleResponse::State::good, std::nullopt, "bad.pem: good"},
                            Case{SingleResponse::State::revoked, Reason::cessation_of_operation,
                                 "Reason: cessationOfOperation"},
                            Case{SingleResponse::State::revoked, Reason::unspecified, "bad.pem: revoked"},
                            Case{SingleResponse::State::unknown, std::nullopt, "bad.pem: unknown"}})
        for (const std::string signer : {"ca", "responder"}) {
            auto answer = answer_about("bad", one.state);
            answer.responses[0].reason = one.reason;
            answer.responses[0].revoked_at = answer.produced_at - 1h;
            std::vector<Certificate> with;
            if (signer != "ca") {
                with.push_back(folder.certificate(signer));
                answer.responder_key_hash.clear();
                answer.responder_name = with.front().subject_der();
            }
            const auto made = make_ocsp_response(answer, Hash::sha512, ocsp_ca().sign(signer), with);
            REQUIRE(made);
            folder.write("ours.der", *made);
            const auto said = folder.must(
                "openssl ocsp -respin ours.der -issuer ca.pem -sha256 -cert bad.pem -CAfile ca.pem "
                "-no_nonce");
            INFO(said);
            CHECK(said.find("Response verify OK") != std::string::npos);
            CHECK(said.find(one.says) != std::string::npos);
            const auto read = ocsp_ca().check(*made, "bad");
            REQUIRE(read);
            CHECK(read->response.state == one.state);
            CHECK(read->response.next_update == answer.responses[0].next_update);
            if (one.reason == Reason::unspecified) CHECK_FALSE(read->response.reason);
        }
}

TEST_CASE("a nonce comes back, and a signature that fails is told") {
    auto answer = answer_about("good", SingleResponse::State::good);
    answer.nonce = Bytes{1, 2, 3, 4, 5, 6, 7, 8};
    const auto made = make_ocsp_response(answer, Hash::sha256, ocsp_ca().sign("ca"));
    REQUIRE(made);
    const auto read = OcspResponse::decode(*made);
    REQUIRE(read);
    CHECK(read->answer().nonce == answer.nonce);
    const auto failed = make_ocsp_response(answer, Hash::sha256, [](Hash, View) -> Result<Bytes> {
        return Error::environment("the HSM is away");
    });
    REQUIRE_FALSE(failed);
    CHECK(failed.error().text == "the HSM is away");
}

TEST_CASE("refusals are the octets of the standard, and openssl reads them") {
    CHECK(to_hex(ocsp_refusal(OcspStatus::unauthorized)) == "30030a0106");
    CHECK(to_hex(ocsp_refusal(OcspStatus::malformed_request)) == "30030a0101");
    for (const auto status :
         {OcspStatus::malformed_request, OcspStatus::internal_error, OcspStatus::try_later,
          OcspStatus::signature_required, OcspStatus::unauthorized}) {
        ocsp_ca().folder.write("refusal.der", ocsp_refusal(status));
        const auto said = workshop::run("openssl ocsp -noverify -respin " +
                                        ocsp_ca().folder.at("refusal.der") + " | tr A-Z a-z");
        auto wanted = std::string(name(status));
        std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                       [](char c) { return static_cast<char>(std::tolower(c)); });
        CHECK(said.output.find("responder error: " + wanted + " (") != std::string::npos);
        const auto read = OcspResponse::decode(ocsp_refusal(status));
        REQUIRE(read);
        CHECK(read->status() == status);
        CHECK(why(read->check(ocsp_ca().folder.certificate("good"), ocsp_ca().folder.certificate("ca"),
                              SystemWallClock().now()))
                  .find(name(status)) != std::string::npos);
    }
    CHECK_FALSE(OcspResponse::decode(*from_hex("30030a0104")));  // "4" isn't used
    CHECK_FALSE(OcspResponse::decode(*from_hex("30030a0107")));
    CHECK_FALSE(OcspResponse::decode(*from_hex("30030a0100")));  // successful, and nothing in it
    CHECK_FALSE(OcspResponse::decode(View()));
}
