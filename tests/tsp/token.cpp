#include "tsa/protocol/token.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>

#include "base/der.h"
#include "tests/tsp/support.h"
#include "tsa/protocol/response.h"
#include "tsa/protocol/verify.h"

using namespace kokuin;
using support::hex;
using support::Pki;
using tsp::EmbedTac;
using tsp::EssForm;

namespace {

tsp::TokenProfile profile(EssForm ess, EmbedTac embed, bool cert_req, const Bytes& tac) {
    auto made = tsp::TokenProfile::create(
        {Pki::instance().tsu(), {Pki::instance().ca()}, ess, embed, embed == EmbedTac::none ? Bytes{} : tac},
        cert_req);
    INFO((made.ok() ? "" : made.error().text));
    REQUIRE(made.ok());
    return *made;
}

tsp::Expectations receiver(View data) {
    tsp::Expectations expected;
    expected.imprint = pki::digest(pki::Hash::sha256, data);
    expected.anchors = {Pki::instance().root()};
    expected.more_certificates = {Pki::instance().tsu(), Pki::instance().ca()};
    return expected;
}

// The members of a DER SET OF (0x31 …).
std::vector<Bytes> members(const Bytes& set) {
    der::Reader outer(set);
    der::Reader in = outer.enter(der::set_tag, "set");
    std::vector<Bytes> all;
    while (!in.at_end()) {
        const View whole = in.any().whole;
        all.emplace_back(whole.begin(), whole.end());
    }
    REQUIRE_FALSE(outer.failed());
    return all;
}

std::string all_checks(const tsp::Verification& verification) {
    std::string text;
    for (const auto& checked : verification.checks) {
        text += std::string(tsp::name(checked.check)) + " " + std::string(tsp::name(checked.outcome)) + ": " +
                checked.text + "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("every form of token is accepted by the tools that can read it") {
    const Pki& pki = Pki::instance();
    const auto ess = GENERATE(EssForm::v1, EssForm::v2, EssForm::both);
    const auto embed = GENERATE(EmbedTac::none, EmbedTac::signer_attribute, EmbedTac::certificates_v1,
                                EmbedTac::certificates_v2);
    const bool cert_req = GENERATE(true, false);
    INFO(tsp::name(ess) << " " << tsp::name(embed) << " certReq " << cert_req);
    const Bytes tac = support::attribute_certificate(1);
    const auto made = profile(ess, embed, cert_req, tac);
    const bool in_certificates =
        cert_req && (embed == EmbedTac::certificates_v1 || embed == EmbedTac::certificates_v2);
    CHECK(made.embeds_tac() == (in_certificates || embed == EmbedTac::signer_attribute));

    pki.must("printf data > data");
    pki.must(std::string("openssl ts -query -data data -sha256 -out q.tsq") + (cert_req ? " -cert" : ""));
    const auto request = tsp::parse_request(pki.read("q.tsq"));
    REQUIRE(request.ok());
    auto info = support::tst_info(request->imprint);
    info.algorithm = request->algorithm;
    info.nonce = request->nonce;
    const Bytes token = support::token(made, info);
    pki.write("token.der", token);
    pki.write("token.tsr", tsp::granted(token));
    pki.must("cat tsu.pem ca.pem > others.pem; cat root.pem ca.pem > anchors.pem");

    // openssl ts can't read an attribute certificate in `certificates` (design section 3).
    const auto ts =
        pki.run("openssl ts -verify -queryfile q.tsq -in token.tsr -CAfile root.pem -untrusted others.pem");
    INFO(ts.output);
    CHECK((ts.exit == 0) == !in_certificates);
    // -certfile gives openssl cms the signer only, so that without certReq the CA must be among the anchors.
    const auto cms = pki.run("openssl cms -verify -inform DER -in token.der -CAfile " +
                             std::string(cert_req ? "root.pem" : "anchors.pem -certfile others.pem") +
                             " -purpose timestampsign -out content.der");
    INFO(cms.output);
    CHECK(cms.exit == 0);
    CHECK(pki.read("content.der") == tsp::encode(info));
    pki.must("openssl asn1parse -inform DER -in token.der");

    const auto parsed = tsp::parse_token(token);
    INFO((parsed.ok() ? "" : parsed.error().text));
    REQUIRE(parsed.ok());
    CHECK(parsed->version == (in_certificates && embed == EmbedTac::certificates_v2 ? 4 : 3));
    CHECK(parsed->tst_info_der == tsp::encode(info));
    CHECK(parsed->certificates.size() == (cert_req ? 2 : 0));
    CHECK(parsed->digest_oid == pki::oid(pki::Hash::sha512));
    CHECK(parsed->signature_oid == "1.2.840.113549.1.1.13");
    CHECK(parsed->ess_v1.has_value() == (ess != EssForm::v2));
    CHECK(parsed->ess_v2.has_value() == (ess != EssForm::v1));
    for (const auto* ids : {&parsed->ess_v1, &parsed->ess_v2}) {
        if (*ids) CHECK((*ids)->size() == (in_certificates ? 2 : 1));
    }
    if (made.embeds_tac()) {
        REQUIRE(parsed->tac());
        CHECK(parsed->tacs.size() == 1);
        CHECK(parsed->tac()->der == tac);
        CHECK(parsed->tac()->placement == tsp::name(embed));
    } else {
        CHECK_FALSE(parsed->tac());
        CHECK(std::search(token.begin(), token.end(), tac.begin() + 4, tac.end()) == token.end());
    }
    auto expected = receiver(as_view("data"));
    expected.nonce = request->nonce;
    expected.policy = info.policy;
    expected.now = info.gen_time;
    const auto verification = tsp::verify(*parsed, expected);
    INFO(all_checks(verification));
    CHECK(verification.ok());
    CHECK(verification.path.size() == 3);
    for (const auto& checked : verification.checks) {
        // signingCertificate alone has nothing better than SHA-1.
        const bool sha1 = ess == EssForm::v1 && checked.check == tsp::Check::certificate_binding;
        CHECK(checked.outcome == (sha1 ? tsp::Outcome::flagged : tsp::Outcome::passed));
    }
    const auto from_response = tsp::parse_token_or_response(tsp::granted(token));
    REQUIRE(from_response.ok());
    CHECK(from_response->der == token);
    CHECK(tsp::parse_token_or_response(token).ok());
}

TEST_CASE("certificates stand in DER order, each once; without certReq there is no such field") {
    const Pki& pki = Pki::instance();
    const auto twice =
        tsp::TokenProfile::create({pki.tsu(), {pki.ca(), pki.tsu(), pki.root(), pki.ca()}}, true);
    REQUIRE(twice.ok());
    const auto token = tsp::parse_token(support::token(*twice, support::tst_info(Bytes(32))));
    REQUIRE(token.ok());
    REQUIRE(token->certificates.size() == 3);
    for (std::size_t i = 1; i < 3; ++i) {
        const View a = token->certificates[i - 1].der();
        const View b = token->certificates[i].der();
        CHECK(std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()));
    }
    const auto without = tsp::TokenProfile::create({pki.tsu(), {pki.ca()}}, false);
    CHECK(without->certificates().empty());
    // SignedData goes from encapContentInfo straight to signerInfos.
    const Bytes der = support::token(*without, support::tst_info(Bytes(32)));
    der::Reader in(der);
    der::Reader content_info = in.enter(0x30, "ContentInfo");
    content_info.read_oid("");
    der::Reader content = content_info.enter(0xa0, "");
    der::Reader signed_data = content.enter(0x30, "");
    std::string tags;
    while (!signed_data.at_end()) tags += to_hex(Bytes{signed_data.any().tag}) + " ";
    CHECK(tags == "02 31 30 31 ");
}

// RFC 5652 5.3 and 11, RFC 2634 5.4, RFC 5035 3 and 5.
TEST_CASE("signed attributes, octet by octet") {
    const Pki& pki = Pki::instance();
    const Bytes tst = tsp::encode(support::tst_info(Bytes(32)));
    const Bytes tac = support::attribute_certificate(1);
    // IssuerSerial ::= SEQUENCE { issuer GeneralNames, serialNumber CertificateSerialNumber }
    const Bytes issuer_serial = der::sequence(
        {der::sequence({der::tlv(0xa4, pki.tsu().issuer_der())}), der::tlv(0x02, pki.tsu().serial())});
    const auto attribute = [](const std::string& oid, const Bytes& value) {
        return der::sequence({hex(oid), der::tlv(0x31, value)});
    };
    // SigningCertificate ::= SEQUENCE { certs SEQUENCE OF ESSCertID }, ESSCertID ::= SEQUENCE { certHash,
    // issuerSerial }
    const auto ess = [&](pki::Hash hash, bool with_tac) {
        Bytes ids = der::sequence({der::octets(pki.tsu().digest(hash)), issuer_serial});
        if (with_tac) append(ids, der::sequence({der::octets(pki::digest(hash, tac))}));
        return der::sequence({der::tlv(0x30, ids)});
    };
    const Bytes content_type =
        hex("30 1a 06 09 2a 86 48 86 f7 0d 01 09 03 31 0d 06 0b 2a 86 48 86 f7 0d 01 09 10 01 04");
    const Bytes digest =
        attribute("06 09 2a 86 48 86 f7 0d 01 09 04", der::octets(pki::digest(pki::Hash::sha512, tst)));
    const std::string v1 = "06 0b 2a 86 48 86 f7 0d 01 09 10 02 0c";
    const std::string v2 = "06 0b 2a 86 48 86 f7 0d 01 09 10 02 2f";
    const std::string signer_attribute = "06 0b 2a 86 48 86 f7 0d 01 09 10 02 12";

    const auto is = [&](EssForm form, EmbedTac embed, std::vector<Bytes> attributes) {
        const Bytes made = profile(form, embed, true, tac).signed_attributes(tst);
        const auto sorted = members(made);
        CHECK(std::is_sorted(sorted.begin(), sorted.end()));
        attributes.push_back(content_type);
        attributes.push_back(digest);
        std::sort(attributes.begin(), attributes.end());
        CHECK(sorted == attributes);
        CHECK(made == der::set_of(attributes));
    };
    is(EssForm::v1, EmbedTac::none, {attribute(v1, ess(pki::Hash::sha1, false))});
    is(EssForm::v2, EmbedTac::none, {attribute(v2, ess(pki::Hash::sha256, false))});
    is(EssForm::both, EmbedTac::certificates_v1,
       {attribute(v1, ess(pki::Hash::sha1, true)), attribute(v2, ess(pki::Hash::sha256, true))});
    is(EssForm::v2, EmbedTac::certificates_v2, {attribute(v2, ess(pki::Hash::sha256, true))});
    is(EssForm::v2, EmbedTac::signer_attribute,
       {attribute(v2, ess(pki::Hash::sha256, false)),
        attribute(signer_attribute, der::sequence({der::tlv(0xa1, tac)}))});
}

TEST_CASE("a profile that doesn't fit together is refused") {
    const Pki& pki = Pki::instance();
    CHECK_FALSE(
        tsp::TokenProfile::create({pki.tsu(), {}, EssForm::both, EmbedTac::signer_attribute, {}}, true).ok());
    CHECK_FALSE(tsp::TokenProfile::create(
                    {pki.tsu(), {}, EssForm::both, EmbedTac::certificates_v1, hex("05 00")}, true)
                    .ok());
    CHECK_FALSE(tsp::TokenProfile::create(
                    {pki.tsu(), {}, EssForm::both, EmbedTac::certificates_v2, hex("30 00 00")}, true)
                    .ok());
}

TEST_CASE("verification names what is wrong") {
    const Pki& pki = Pki::instance();
    const auto good = profile(EssForm::both, EmbedTac::none, true, {});
    auto info = support::tst_info(pki::digest(pki::Hash::sha256, as_view("data")));
    info.nonce = Bytes{7};
    auto expected = receiver(as_view("data"));
    expected.now = info.gen_time;

    // Which checks fail.
    const auto failures = [&](const Bytes& der) {
        const auto token = tsp::parse_token(der);
        INFO((token.ok() ? "" : token.error().text));
        REQUIRE(token.ok());
        const auto verification = tsp::verify(*token, expected);
        std::string names;
        for (const auto& checked : verification.checks) {
            if (checked.outcome == tsp::Outcome::failed) names += std::string(tsp::name(checked.check)) + " ";
        }
        CHECK(verification.ok() == names.empty());
        return names;
    };
    const auto with_attributes = [&](const auto& change) {
        const Bytes tst = tsp::encode(info);
        Bytes attributes = good.signed_attributes(tst);
        change(attributes);
        return good.assemble(tst, attributes, pki.sign(attributes));
    };
    const auto change_at = [](Bytes& in, const Bytes& what) {
        const auto at = std::search(in.begin(), in.end(), what.begin(), what.end());
        REQUIRE(at != in.end());
        *at ^= 1U;
    };

    CHECK(failures(support::token(good, info)).empty());
    SECTION("what the receiver expects") {
        const Bytes token = support::token(good, info);
        expected.imprint = Bytes(32);
        expected.nonce = Bytes{8};
        expected.policy = "1.2.3";
        CHECK(failures(token) == "imprint nonce policy ");
        expected = receiver(as_view("data"));
        expected.anchors.clear();
        CHECK(failures(token) == "chain ");
        expected.anchors = {pki.tsu()};  // trusted as it is
        CHECK(failures(token).empty());
        expected.anchors = {pki.root()};
        expected.now = pki.tsu().not_after() + seconds{1};
        CHECK(failures(token) == "holds_now ");
    }
    SECTION("TSTInfo changed after signing") {
        Bytes token = support::token(good, info);
        change_at(token, info.imprint);
        CHECK(failures(token) == "imprint message_digest ");
    }
    SECTION("signature changed") {
        Bytes token = support::token(good, info);
        token.back() ^= 1U;
        CHECK(failures(token) == "signature ");
    }
    SECTION("a signing-certificate attribute names another certificate, v1 or v2") {
        for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256}) {
            CHECK(failures(with_attributes([&](Bytes& in) { change_at(in, pki.tsu().digest(hash)); })) ==
                  "certificate_binding ");
        }
        CHECK(failures(with_attributes([&](Bytes& in) { change_at(in, pki.tsu().serial()); })) ==
              "certificate_binding ");
    }
    SECTION("messageDigest and contentType are wrong, though signed") {
        CHECK(failures(with_attributes([&](Bytes& in) {
                  change_at(in, pki::digest(pki::Hash::sha512, tsp::encode(info)));
              })) == "message_digest ");
        CHECK(failures(with_attributes([&](Bytes& in) { change_at(in, hex("04 30")); })) != "");
    }
    SECTION("genTime outside the certificate") {
        info.gen_time = pki.tsu().not_before() - seconds{1};
        CHECK(failures(support::token(good, info)) == "certificate_time chain ");
        info.gen_time = pki.tsu().not_after() + milliseconds{1001};
        expected.now.reset();
        CHECK(failures(support::token(good, info)) == "certificate_time chain ");
    }
    SECTION("the extended key usage isn't critical") {
        const auto other =
            pki.issue("uncritical", "keyUsage=critical,digitalSignature\nextendedKeyUsage=timeStamping");
        const auto made = tsp::TokenProfile::create({other, {pki.ca()}}, true);
        info.gen_time =
            other.not_before() + std::chrono::minutes{1};  // it may be much younger than the others
        const Bytes tst = tsp::encode(info);
        const Bytes attributes = made->signed_attributes(tst);
        CHECK(failures(made->assemble(tst, attributes, pki.sign(attributes, "uncritical"))) == "key_usage ");
    }
    SECTION("no certificate at all") {
        const auto without = profile(EssForm::both, EmbedTac::none, false, {});
        expected.more_certificates.clear();
        CHECK(failures(support::token(without, info)) == "signer ");
    }
    SECTION("no accuracy is worth a flag") {
        info.accuracy.reset();
        const auto token = tsp::parse_token(support::token(good, info));
        CHECK(tsp::verify(*token, expected).of(tsp::Check::accuracy).outcome == tsp::Outcome::flagged);
    }
    SECTION("a TAC in certificates that nothing signed names is worth a flag") {
        const Bytes tac = support::attribute_certificate(1);
        Bytes der = support::token(profile(EssForm::both, EmbedTac::certificates_v1, true, tac), info);
        CHECK(failures(der).empty());
        change_at(der, Bytes(64, 0x5a));
        const auto token = tsp::parse_token(der);
        REQUIRE(token.ok());
        CHECK(tsp::verify(*token, expected).of(tsp::Check::certificate_binding).outcome ==
              tsp::Outcome::flagged);
    }
}

TEST_CASE("hostile tokens end in a value, and no changed one holds") {
    const Pki& pki = Pki::instance();
    const auto expected = receiver(as_view("data"));
    const auto info = support::tst_info(*expected.imprint);
    const Bytes token = support::token(
        profile(EssForm::both, EmbedTac::signer_attribute, false, support::attribute_certificate(1)), info);
    std::size_t readable = 0;
    for (std::size_t i = 0; i < token.size(); ++i) {
        if (tsp::parse_token(View(token).first(i))) FAIL("a prefix of " << i << " octets is taken");
        for (const unsigned flip : {0x01U, 0x02U, 0x04U, 0x08U, 0x10U, 0x20U, 0x40U, 0x80U, 0xffU}) {
            Bytes changed = token;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            readable += tsp::parse_token(changed).ok() ? 1U : 0U;
        }
    }
    CHECK(readable > 0);
    Bytes longer = token;
    longer.push_back(0);
    CHECK_FALSE(tsp::parse_token(longer).ok());

    // One change an octet: wherever the signature reaches, verification notices.
    const auto position = [&](const Bytes& part) {
        return static_cast<std::size_t>(std::search(token.begin(), token.end(), part.begin(), part.end()) -
                                        token.begin());
    };
    const auto parsed = tsp::parse_token(token);
    REQUIRE(parsed.ok());
    const Bytes attributes(parsed->signed_attributes.begin() + 4, parsed->signed_attributes.end());
    for (const Bytes& part : {parsed->tst_info_der, attributes, parsed->signature}) {
        const std::size_t from = position(part);
        REQUIRE(from < token.size());
        for (std::size_t i = from; i < from + part.size(); ++i) {
            Bytes der = token;
            der[i] ^= 0x10U;
            const auto changed = tsp::parse_token(der);
            if (changed && tsp::verify(*changed, expected).ok()) FAIL("octet " << i << " may be changed");
        }
    }

    // The algorithms stand outside of what is signed: every other octet there is malformed, or another
    // algorithm. (rsaEncryption with the same digest says the same, RFC 3370 3.2.)
    const Bytes sha512 = hex("60 86 48 01 65 03 04 02 03"),
                sha512_with_rsa = hex("2a 86 48 86 f7 0d 01 01 0d");
    std::size_t looked_at = 0;
    for (const Bytes& oid : {sha512, sha512_with_rsa}) {
        for (auto at = token.begin();
             (at = std::search(at, token.end(), oid.begin(), oid.end())) != token.end(); ++at) {
            const auto from = static_cast<std::size_t>(at - token.begin());
            if (token[from - 4] != 0x30) continue;  // not an AlgorithmIdentifier
            ++looked_at;
            for (std::size_t i = from - 4; i < from - 4 + 2 + token[from - 3]; ++i)
                for (unsigned value = 0; value < 256; ++value) {
                    if (value == token[i]) continue;
                    Bytes der = token;
                    der[i] = static_cast<std::uint8_t>(value);
                    const auto changed = tsp::parse_token(der);
                    if (changed && tsp::verify(*changed, expected).ok() &&
                        changed->signature_oid != "1.2.840.113549.1.1.1")
                        FAIL("octet " << i << " may become " << value);
                }
        }
    }
    CHECK(looked_at == 3);  // digestAlgorithms, digestAlgorithm, signatureAlgorithm

    const Bytes large = support::token(
        profile(EssForm::both, EmbedTac::certificates_v2, true, support::attribute_certificate(1)), info);
    for (std::size_t i = 0; i < large.size(); ++i) {
        if (tsp::parse_token(View(large).first(i))) FAIL("a prefix of " << i << " octets is taken");
        Bytes changed = large;
        changed[i] ^= 0x81U;
        static_cast<void>(tsp::parse_token(changed).ok());
    }
    static_cast<void>(pki);
}

namespace {

// All that a token was read to say.
std::string said(const tsp::Token& token) {
    const auto& info = token.tst_info;
    std::string all =
        to_hex(token.der) + "|" + std::to_string(token.version) + "|" + to_hex(token.tst_info_der) + "|" +
        info.policy + "|" + to_hex(info.algorithm) + "|" + info.hash_oid + "|" + to_hex(info.imprint) + "|" +
        to_hex(info.serial) + "|" + std::to_string(info.negative_serial) + "|" +
        to_rfc3339(info.gen_time, 9) + "|" + std::to_string(info.gentime_digits) + "|" +
        (info.accuracy ? std::to_string(info.accuracy->count()) : "none") + "|" +
        std::to_string(info.ordering) + "|" + (info.nonce ? to_hex(*info.nonce) : "none") + "|" +
        to_hex(info.tsa) + "|" + std::to_string(info.has_extensions) + "|" + to_hex(token.signer_issuer_der) +
        "|" + to_hex(token.signer_serial) + "|" + to_hex(token.signer_key_id) + "|" + token.digest_oid + "|" +
        token.signature_oid + "|" + to_hex(token.signed_attributes) + "|" + to_hex(token.signature) + "|" +
        token.content_type + "|" + to_hex(token.message_digest);
    for (const auto& certificate : token.certificates) all += "|" + to_hex(certificate.sha256());
    for (const auto& tac : token.tacs) all += "|" + to_hex(tac.der) + std::string(tac.placement);
    for (const auto* ids : {&token.ess_v1, &token.ess_v2}) {
        all += *ids ? "|ids" : "|none";
        if (*ids)
            for (const auto& id : **ids)
                all += "|" + id.hash_oid + to_hex(id.hash) + to_hex(id.issuer_der) + "/" + to_hex(id.serial);
    }
    for (const auto& oid : token.other_attributes) all += "|" + oid;
    return all;
}

template <typename T>
std::string said(const Result<T>& token) {
    if (!token) return "error: " + token.error().text;
    if constexpr (std::is_pointer_v<T>) {
        return said(**token);
    } else {
        return said(*token);
    }
}

}  // namespace

TEST_CASE("of tokens that are read one after the other each is read as if it were the first") {
    const Bytes tac = support::attribute_certificate(7);
    const auto plain = profile(EssForm::both, EmbedTac::none, false, tac);
    auto info = support::tst_info(Bytes(32, 1));
    const Bytes first = support::token(plain, info);
    std::vector<Bytes> others;
    const auto also = [&](const tsp::TokenProfile& of) { others.push_back(support::token(of, info)); };
    info.serial = Bytes(info.serial.size(), 0x42);
    also(plain);
    info.gen_time += std::chrono::milliseconds(1234);
    info.imprint = Bytes(32, 2);
    also(plain);
    info.imprint = Bytes(64, 2);
    info.hash_oid = pki::oid(pki::Hash::sha512);
    also(plain);
    info = support::tst_info(Bytes(32, 3));
    for (const auto embed : {EmbedTac::none, EmbedTac::signer_attribute, EmbedTac::certificates_v2})
        for (const auto ess : {EssForm::v1, EssForm::v2, EssForm::both}) also(profile(ess, embed, true, tac));
    // As long as the first one, and another signer's.
    Bytes stranger = first;
    const auto issuer = Pki::instance().tsu().issuer_der();
    const auto at = std::search(stranger.begin(), stranger.end(), issuer.begin(), issuer.end());
    REQUIRE(at != stranger.end());
    *(at + static_cast<std::ptrdiff_t>(issuer.size()) - 1) ^= 1U;
    others.push_back(stranger);

    for (const auto which : {tsp::TokenCertificates::read, tsp::TokenCertificates::skip}) {
        tsp::TokenParser reader(which);
        for (int round = 0; round < 2; ++round)
            for (const Bytes& token : others) {
                REQUIRE(said(reader.read(first)) == said(tsp::parse_token(first, which)));
                REQUIRE(said(reader.read(token)) == said(tsp::parse_token(token, which)));
            }
    }

    // Whatever octet is another one, and whatever was read before.
    tsp::TokenParser reader(tsp::TokenCertificates::skip);
    std::size_t refused = 0;
    for (std::size_t i = 0; i < first.size(); ++i)
        for (const unsigned change : {0x01U, 0x80U, 0xffU}) {
            Bytes changed = first;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
            const auto whole = tsp::parse_token(changed, tsp::TokenCertificates::skip);
            refused += whole ? 0 : 1;
            REQUIRE(said(reader.read(changed)) == said(whole));
            if (i % 16 == 0) REQUIRE(reader.read(first).ok());
        }
    // Nothing that could be looked at as a place.
    const auto plain_profile = profile(EssForm::both, EmbedTac::none, false, tac);
    const Bytes tst = tsp::encode(info);
    const Bytes attributes = plain_profile.signed_attributes(tst);
    for (int i = 0; i < 2; ++i) {
        Bytes unsigned_one = plain_profile.assemble(tst, attributes, {});
        unsigned_one[unsigned_one.size() / 2] ^= static_cast<std::uint8_t>(i);
        REQUIRE(said(reader.read(unsigned_one)) ==
                said(tsp::parse_token(unsigned_one, tsp::TokenCertificates::skip)));
    }
    CHECK(refused > 100);
    CHECK(refused < first.size() * 3);
}

TEST_CASE("where a token breaks is told in octets of the token") {
    const auto made = profile(EssForm::both, EmbedTac::none, false, {});
    const Bytes token = support::token(made, support::tst_info(Bytes(32, 1)));
    const auto place = [&](const Bytes& octets) {
        const auto at = std::search(token.begin(), token.end(), octets.begin(), octets.end());
        REQUIRE(at != token.end());
        return static_cast<std::size_t>(at - token.begin());
    };
    const auto told = [&](std::size_t at, std::uint8_t octet) {
        Bytes changed = token;
        changed[at] = octet;
        const auto parsed = tsp::parse_token(changed);
        REQUIRE_FALSE(parsed.ok());
        return parsed.error().text;
    };
    // messageImprint's hash, an OCTET STRING; and contentType in signedAttrs.
    Bytes imprint{0x04, 0x20};
    imprint.resize(34, 1);
    CHECK_THAT(told(place(imprint), 0x05),
               Catch::Contains("at octet " + std::to_string(place(imprint)) + ": "));
    const Bytes content_type = der::oid("1.2.840.113549.1.9.3");
    CHECK_THAT(told(place(content_type), 0x05),
               Catch::Contains("at octet " + std::to_string(place(content_type)) + ": "));
}

TEST_CASE("a token costs little beside its signature") {
    const auto made =
        profile(EssForm::both, EmbedTac::signer_attribute, true, support::attribute_certificate(1));
    const auto info = support::tst_info(Bytes(32));
    const Bytes signature(256);
    constexpr int rounds = 2000;
    std::size_t size = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) {
        const Bytes tst = tsp::encode(info);
        size += made.assemble(tst, made.signed_attributes(tst), signature).size();
    }
    const auto us =
        std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start).count();
    std::printf("encoding a token of %zu octets: %.1f us\n", size / rounds, static_cast<double>(us) / rounds);
}
