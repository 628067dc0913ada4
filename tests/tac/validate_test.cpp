#include "tac/validate.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "base/der.h"
#include "tests/tac/town.h"

using namespace kokuin;
using namespace kokuin::tac;
using std::chrono::hours;
using town::Audit;

namespace {

/// Swaps the OID of sha256WithRSAEncryption for sha1WithRSAEncryption: same length, last arc 11 → 5.
Bytes with_sha1(Bytes octets) {
    return town::replaced(std::move(octets), der::oid("1.2.840.113549.1.1.11"),
                          der::oid("1.2.840.113549.1.1.5"));
}

}  // namespace

TEST_CASE("a good TAC is accepted, and becomes evidence about our clock") {
    const Audit audit;
    const auto accepted = audit.accepted();
    CHECK(accepted->serial == "10203");
    CHECK(accepted->policy == "1.3.6.1.4.1.955.1.18.1.1");
    CHECK(accepted->offset == microseconds(12'345));
    CHECK(accepted->evidence.source == clock::Source::tac);
    CHECK(accepted->evidence.error == microseconds(12'345));
    // delay/2 + 30 ms, and a µs for what the TAC's digits lose
    CHECK(accepted->evidence.uncertainty >= milliseconds(32));
    CHECK(accepted->evidence.uncertainty <= milliseconds(32) + microseconds(2));
    CHECK(accepted->evidence.at.wall == audit.exchange->received.wall);
    CHECK(accepted->evidence.good_until == accepted->deadline);
    CHECK(accepted->valid_until == audit.tac.expiration);
    CHECK(accepted->valid_from == audit.tac.ntp_time - milliseconds(500));
    CHECK(accepted->deadline == audit.exchange->received.before + hours(25) - microseconds(4'500'000));
    CHECK(accepted->path ==
          std::vector{town::certificate("taa"), town::certificate("middle"), town::certificate("root")});
    CHECK(accepted->value.der == accepted->delivered.tac);
}

TEST_CASE("SHA-512 and a chain that comes with the TAC will do") {
    Audit audit;
    audit.hash = pki::Hash::sha512;
    audit.tac.signature_algorithm = rsa_with(pki::Hash::sha512);
    audit.tac.digest_algorithm = plain(pki::Hash::sha512);
    audit.tac.holder_digest = town::certificate("tsu").digest(pki::Hash::sha512);
    audit.rules.intermediates.clear();
    CHECK(audit.outcome() == "chain");
    for (const char* name : {"middle", "taa"}) {
        const auto certificate = town::certificate(name);
        audit.chain.emplace_back(certificate.der().begin(), certificate.der().end());
    }
    CHECK(audit.outcome() == "accepted");
    audit.rules.authorities = {town::certificate("taa").subject_der()};
    CHECK(audit.outcome() == "accepted");
}

TEST_CASE("malformed") {
    Audit audit;
    SECTION("cut off") {
        audit.forge_after = [](Bytes der) {
            der.pop_back();
            return der;
        };
    }
    SECTION("nothing") {
        audit.forge_after = [](const Bytes&) { return Bytes{}; };
    }
    SECTION("a certificate of another kind") {
        audit.forge_after = [](const Bytes&) {
            const auto certificate = town::certificate("tsu");
            return Bytes(certificate.der().begin(), certificate.der().end());
        };
    }
    CHECK(audit.outcome() == "malformed");
}

TEST_CASE("algorithm: SHA-1 only by configuration, RSA of 2048 bits, one algorithm inside and outside") {
    Audit audit;
    SECTION("SHA-1") {
        audit.hash = pki::Hash::sha1;
        audit.forge = with_sha1;
        CHECK(audit.outcome() == "algorithm");
        audit.rules.accept_weak = true;
        CHECK(audit.outcome() == "accepted");
    }
    SECTION("SHA-1 as the holder's digest") {
        audit.forge = [](Bytes info) {
            // The digest shrinks, so the lengths around it do too: built anew from its members.
            der::Reader outer(info);
            der::Reader members = outer.enter(der::sequence_tag, "info");
            Bytes content;
            append(content, members.any().whole);
            der::Reader holder = members.enter(der::sequence_tag, "holder");
            const Bytes digest = town::certificate("tsu").digest(pki::Hash::sha1);
            append(content, der::sequence({holder.any().whole,
                                           der::tlv(der::context(2, true),
                                                    {der::tlv(der::enumerated, Bytes{1}),
                                                     der::algorithm(pki::oid(pki::Hash::sha1), true),
                                                     der::bits(digest)})}));
            while (!members.at_end()) append(content, members.any().whole);
            return der::tlv(der::sequence_tag, content);
        };
        CHECK(audit.outcome() == "algorithm");
        audit.rules.accept_weak = true;
        CHECK(audit.outcome() == "accepted");
    }
    SECTION("RSA-1024") {
        audit.signer = "weak-taa";
        audit.tac.issuer_name = town::certificate("weak-taa").subject_der();
        audit.rules.intermediates.push_back(town::certificate("weak-taa"));
        CHECK(audit.outcome() == "algorithm");
        audit.rules.accept_weak = true;
        CHECK(audit.outcome() == "accepted");
    }
    SECTION("inside another than outside") {
        audit.hash = pki::Hash::sha512;
        CHECK(audit.outcome() == "algorithm");
    }
    SECTION("not RSA") {
        audit.rules.accept_weak = true;
        audit.forge_after = [](const Bytes& der) {
            Bytes twice =
                town::replaced(der, der::oid("1.2.840.113549.1.1.11"), der::oid("1.2.840.113549.1.1.99"));
            return town::replaced(twice, der::oid("1.2.840.113549.1.1.11"),
                                  der::oid("1.2.840.113549.1.1.99"));
        };
        CHECK(audit.outcome() == "algorithm");
    }
}

TEST_CASE("signature") {
    Audit audit;
    SECTION("of somebody else under the TAA's name") {
        audit.signer = "foreign-taa";
    }
    SECTION("damaged") {
        audit.forge_after = [](Bytes der) {
            der.back() ^= 1;
            return der;
        };
    }
    SECTION("of something else") {
        audit.forge_after = [](Bytes der) {
            return town::replaced(der, Bytes{0x02, 0x30, 0x39}, Bytes{0x02, 0x30, 0x38});
        };
    }
    CHECK(audit.outcome() == "signature");
}

TEST_CASE("chain") {
    Audit audit;
    SECTION("unknown TAA") {
        audit.rules.intermediates = {town::certificate("middle")};
    }
    SECTION("a link is missing") {
        audit.rules.intermediates = {town::certificate("taa")};
    }
    SECTION("another root") {
        audit.signer = "foreign-taa";
        audit.tac.issuer_name = town::certificate("foreign-taa").subject_der();
        const auto certificate = town::certificate("foreign-taa");
        audit.chain.emplace_back(certificate.der().begin(), certificate.der().end());
    }
    SECTION("its certificate had ended at the audit") {
        audit = Audit(town::in_an_hour() + hours(72));
        audit.signer = "old-taa";
        audit.tac.issuer_name = town::certificate("old-taa").subject_der();
        audit.rules.intermediates.push_back(town::certificate("old-taa"));
    }
    SECTION("nobody who was named") {
        audit.rules.authorities = {town::certificate("channel").subject_der()};
    }
    SECTION("a certificate made for TLS") {
        audit.signer = "channel";
        audit.tac.issuer_name = town::certificate("channel").subject_der();
        audit.rules.intermediates.push_back(town::certificate("channel"));
    }
    SECTION("another TSU") {
        audit.signer = "other-tsu";
        audit.tac.issuer_name = town::certificate("other-tsu").subject_der();
        audit.rules.intermediates.push_back(town::certificate("other-tsu"));
    }
    SECTION("the TSU itself, even if somebody names it") {
        audit.signer = "tsu";
        audit.tac.issuer_name = town::certificate("tsu").subject_der();
        audit.rules.intermediates.push_back(town::certificate("tsu"));
        audit.rules.authorities = {town::certificate("tsu").subject_der()};
    }
    SECTION("a CA") {
        audit.signer = "root";
        audit.tac.issuer_name = town::certificate("root").subject_der();
    }
    SECTION("rubbish beside it") {
        audit.chain = {Bytes{1, 2, 3}};
    }
    CHECK(audit.outcome() == "chain");
}

TEST_CASE("holder") {
    Audit audit;
    SECTION("name") {
        audit.tac.holder_name = town::certificate("other-tsu").subject_der();
        CHECK(audit.outcome() == "holder-name");
    }
    SECTION("digest") {
        audit.tac.holder_digest = town::certificate("other-tsu").digest(pki::Hash::sha256);
        CHECK(audit.outcome() == "holder-digest");
    }
    SECTION("a TAC for another TSU") {
        audit.situation.tsu = town::certificate("other-tsu");
        CHECK(audit.outcome() == "holder-name");
    }
}

TEST_CASE("freshness: nonce, boot, suspend, replay") {
    Audit audit;
    SECTION("unknown nonce") {
        audit.exchange.reset();
        CHECK(audit.outcome() == "unknown-nonce");
    }
    SECTION("another boot") {
        audit.situation.boot_id = "boot-2";
        CHECK(audit.outcome() == "restarted");
    }
    SECTION("suspended in between") {
        audit.situation.now.asleep = {milliseconds(3), milliseconds(3)};
        CHECK(audit.outcome() == "restarted");
    }
    SECTION("older than the last one") {
        audit.situation.last = LastTac{audit.tac.ntp_time + microseconds(1), "77"};
        CHECK(audit.outcome() == "replay");
    }
    SECTION("the same audit") {
        audit.situation.last = LastTac{audit.tac.ntp_time, "77"};
        CHECK(audit.outcome() == "replay");
    }
    SECTION("the same serial") {
        audit.situation.last = LastTac{audit.tac.ntp_time - hours(1), "10203"};
        CHECK(audit.outcome() == "replay");
    }
    SECTION("newer") {
        audit.situation.last = LastTac{audit.tac.ntp_time - microseconds(1), "77"};
        CHECK(audit.outcome() == "accepted");
    }
}

TEST_CASE("an order to stop: zero life, or an offset beyond maxOffset") {
    Audit audit;
    const Audit good;
    SECTION("zero life") {
        audit.measured(microseconds(12'345), nanoseconds(0));
    }
    SECTION("zero life and a large offset, whatever else is wrong with it") {
        audit.measured(seconds(40), nanoseconds(0));
        audit.tac.policies = {"1.2.3"};
        audit.tac.delay = seconds(9);
    }
    SECTION("offset beyond maxOffset") {
        audit.measured(microseconds(500'001));
    }
    SECTION("behind by more than maxOffset") {
        audit.measured(-microseconds(500'001));
    }
    SECTION("a day behind: C says that the audit lies in the future") {
        audit.measured(-hours(26));
        audit.situation.now.wall = audit.exchange->received.wall;
    }
    SECTION("no maxOffset in it: the policy's limit counts") {
        audit.tac.max_offset.reset();
        audit.measured(milliseconds(501));
    }
    const StopOrder order = audit.stops();
    CHECK(order.ntp_time == audit.tac.ntp_time);
    CHECK(order.serial == "10203");
    CHECK(order.text.find("order to stop from CN=taa") == 0);

    const auto kept = StopOrder::from_fields(order.to_fields());
    REQUIRE(kept.ok());
    CHECK(kept->tac == order.tac);
    CHECK(kept->serial == order.serial);
    CHECK(kept->ntp_time == order.ntp_time);
    CHECK(kept->offset == order.offset);
    CHECK(kept->text == order.text);

    // Not everybody may order it, and not twice.
    Audit other = audit;
    other.signer = "foreign-taa";
    CHECK(other.outcome() == "signature");
    other = audit;
    other.exchange.reset();
    CHECK(other.outcome() == "unknown-nonce");
    other = audit;
    other.situation.tsu = town::certificate("other-tsu");
    CHECK(other.outcome() == "holder-name");
    other = audit;
    other.situation.last = LastTac{audit.tac.ntp_time, "77"};
    CHECK(other.outcome() == "replay");
}

TEST_CASE("profile: the two ways to write the validity must agree") {
    Audit audit;
    const auto time_text = [](WallTime time) { return to_generalized_time(time, 0); };
    SECTION("notBefore") {
        audit.forge = [&](Bytes info) {
            return town::replaced(std::move(info), time_text(audit.tac.not_before),
                                  time_text(audit.tac.not_before - seconds(1)));
        };
    }
    SECTION("notAfter, by hours") {
        audit.forge = [&](Bytes info) {
            return town::replaced(std::move(info), time_text(audit.tac.not_after),
                                  time_text(audit.tac.not_after + hours(9)));
        };
    }
    SECTION("an unknown critical extension") {
        audit.forge = [](Bytes info) {
            der::Reader outer(info);
            der::Reader members = outer.enter(der::sequence_tag, "info");
            Bytes content;
            for (int i = 0; i < 7; ++i) append(content, members.any().whole);
            append(
                content,
                der::sequence({der::sequence({der::oid("1.2.3.4"), der::boolean_true(), der::octets({})})}));
            return der::tlv(der::sequence_tag, content);
        };
    }
    CHECK(audit.outcome() == "profile");
}

TEST_CASE("policy and limits: within means inclusive") {
    Audit audit;
    SECTION("unknown policy") {
        audit.tac.policies = {"1.2.3"};
        CHECK(audit.outcome() == "policy");
        audit.rules.policies["1.2.3"] = {milliseconds(100), milliseconds(100)};
        CHECK(audit.outcome() == "accepted");
        audit.tac.policies.emplace_back("1.3.6.1.4.1.955.1.18.1.1");
        CHECK(audit.accepted()->policy == "1.2.3");  // the strictest
        audit.measured(microseconds(100'000));
        CHECK(audit.outcome() == "accepted");
        audit.measured(microseconds(100'001));
        CHECK(audit.outcome() == "offset");
        audit.measured(-microseconds(100'001));
        CHECK(audit.outcome() == "offset");
    }
    SECTION("500 ms") {
        audit.measured(milliseconds(500));
        CHECK(audit.outcome() == "accepted");
        audit.measured(-milliseconds(500));
        CHECK(audit.outcome() == "accepted");
    }
    SECTION("1 s") {
        audit.tac.policies = {"1.3.6.1.4.1.955.1.18.1.2"};
        audit.tac.max_offset = seconds(1);
        audit.measured(-seconds(1));
        CHECK(audit.outcome() == "accepted");
        audit.tac.max_offset = seconds(2);
        audit.measured(-microseconds(1'000'001));
        CHECK(audit.outcome() == "offset");
    }
    SECTION("delay") {
        audit.tac.delay = milliseconds(100);
        CHECK(audit.outcome() == "accepted");
        audit.tac.delay = microseconds(100'001);
        CHECK(audit.outcome() == "delay");
        audit.tac.max_delay.reset();
        CHECK(audit.outcome() == "delay");
        audit.tac.delay = milliseconds(60);
        audit.tac.max_delay = milliseconds(50);
        CHECK(audit.outcome() == "delay");
    }
}

TEST_CASE("window and future") {
    Audit audit;
    SECTION("to its last microsecond") {
        audit.situation.now.wall = audit.tac.expiration;
        CHECK(audit.outcome() == "accepted");
        audit.situation.now.wall += nanoseconds(1);
        CHECK(audit.outcome() == "window");
    }
    SECTION("by M its life is over, whatever C says") {
        audit.situation.now.before = audit.situation.now.after = MonoTime(seconds(1000)) + hours(25);
        CHECK(audit.outcome() == "window");
    }
    SECTION("C went back since: the audit lies in the future") {
        audit.situation.now.wall = audit.tac.ntp_time - milliseconds(500);
        CHECK(audit.outcome() == "accepted");
        audit.situation.now.wall -= nanoseconds(1);
        CHECK(audit.outcome() == "future");
    }
    SECTION("not valid yet, although audited") {
        // notBefore half a second after ntpTime still agrees with it.
        audit.exchange->received.wall += milliseconds(123);
        audit.exchange->sent.wall += milliseconds(123);
        audit.measured(microseconds(0));
        const auto from = to_generalized_time(audit.tac.not_before, 0);
        const auto to = to_generalized_time(audit.tac.not_before + seconds(1), 0);
        audit.forge = [=](Bytes info) { return town::replaced(std::move(info), from, to); };
        audit.situation.now.wall = audit.tac.ntp_time - milliseconds(400);
        CHECK(audit.outcome() == "window");
    }
}

TEST_CASE("contradiction: what the TAC says must be what our own record of the exchange says") {
    Audit audit;
    SECTION("up to delay/2 + 1 ms") {
        const nanoseconds by = milliseconds(3);
        set_validity(audit.tac, audit.tac.ntp_time + by, hours(25));
        CHECK(audit.outcome() == "accepted");
        set_validity(audit.tac, audit.tac.ntp_time + microseconds(2), hours(25));
        CHECK(audit.outcome() == "contradiction");
    }
    SECTION("the other way") {
        set_validity(audit.tac, audit.tac.ntp_time - microseconds(3002), hours(25));
        CHECK(audit.outcome() == "contradiction");
    }
    SECTION("the record of another exchange") {
        audit.exchange->received.wall -= seconds(20);
        audit.exchange->sent.wall -= seconds(20);
        CHECK(audit.outcome() == "contradiction");
    }
    SECTION("stepped during the exchange") {
        audit.exchange->sent.wall += milliseconds(3);
        audit.measured(microseconds(100));
        CHECK(audit.outcome() == "contradiction");
    }
    SECTION("pulled a little during the exchange: that goes into the uncertainty") {
        audit.exchange->sent.wall += microseconds(900);
        audit.measured(microseconds(100));
        CHECK(audit.accepted()->evidence.uncertainty >= milliseconds(32) + microseconds(899));
    }
}

TEST_CASE("a foreign TAA may write the sign the other way round") {
    Audit audit;
    audit.measured(microseconds(12'345));
    audit.tac.offset = -audit.tac.offset;
    CHECK(audit.outcome() == "contradiction");
    audit.rules.offset_is_taa_minus_tsu = true;
    CHECK(audit.accepted()->offset == microseconds(12'345));
    CHECK(audit.accepted()->evidence.error == microseconds(12'345));
}

TEST_CASE("a TAC survives a restart of the server in the same boot, and only there") {
    Audit audit;
    const auto chain = town::certificate("middle");
    audit.chain.emplace_back(chain.der().begin(), chain.der().end());
    audit.rules.intermediates = {town::certificate("taa")};
    audit.exchange->received.asleep = {nanoseconds(5), nanoseconds(6)};
    audit.exchange->sent.asleep = {nanoseconds(5), nanoseconds(6)};
    audit.situation.now.asleep = {nanoseconds(5), nanoseconds(6)};
    const auto accepted = audit.accepted();
    Fields fields = accepted->delivered.to_fields();
    fields["something else"] = std::int64_t{7};
    const auto kept = Delivered::from_fields(fields);
    INFO((kept.ok() ? "" : kept.error().text));
    REQUIRE(kept.ok());

    Situation later = audit.situation;
    later.now.before += hours(3);
    later.now.after += hours(3);
    later.now.wall += hours(3);
    const Verdict verdict = validate(*kept, audit.rules, later);
    REQUIRE(std::holds_alternative<std::shared_ptr<const AcceptedTac>>(verdict));
    const auto again = std::get<std::shared_ptr<const AcceptedTac>>(verdict);
    CHECK(again->value.der == accepted->value.der);
    CHECK(again->deadline == accepted->deadline);
    CHECK(again->valid_until == accepted->valid_until);
    CHECK(again->evidence.error == accepted->evidence.error);
    CHECK(again->evidence.at.before == accepted->evidence.at.before);
    CHECK(again->evidence.at.asleep.low == nanoseconds(5));
    CHECK(again->delivered.exchange->nonce == accepted->delivered.exchange->nonce);
    CHECK(again->delivered.exchange->tsu == "tsu-1");

    later.boot_id = "boot-2";
    const Verdict rebooted = validate(*kept, audit.rules, later);
    REQUIRE(std::holds_alternative<Refusal>(rebooted));
    CHECK(std::get<Refusal>(rebooted).reason == Reason::restarted);

    for (const auto& entry : accepted->delivered.to_fields()) {
        if (entry.first.find("chain_") == 0) continue;
        Fields less = accepted->delivered.to_fields();
        less.erase(entry.first);
        CHECK_FALSE(Delivered::from_fields(less).ok());
        less[entry.first] =
            entry.first == "nonce" || entry.first == "tac" ? Field(std::string("x")) : Field(Bytes{1});
        CHECK_FALSE(Delivered::from_fields(less).ok());
    }
    CHECK_FALSE(StopOrder::from_fields({}).ok());
    CHECK_FALSE(
        StopOrder::from_fields({{"tac", Bytes{1}}, {"offset_ns", std::int64_t{0}}, {"text", std::string()}})
            .ok());
}

TEST_CASE("a TAC in a token: each way not to cover it has a name") {
    Audit audit;
    WallTime gen_time = audit.tac.ntp_time + hours(3);
    audit.rules.policies.clear();  // as a verifier who isn't the TSA
    const auto outcome = [&] {
        const auto no = judge_embedded(audit.der(), audit.rules, audit.situation.tsu, gen_time);
        if (no) CHECK(!no->text.empty());
        return no ? std::string(name(no->reason)) : "covers";
    };
    CHECK(outcome() == "covers");
    SECTION("offset beyond what the TAC states") {
        audit.measured(microseconds(500'000));
        CHECK(outcome() == "covers");
        audit.measured(microseconds(500'001));
        CHECK(outcome() == "offset");
        audit.measured(-microseconds(500'001));
        CHECK(outcome() == "offset");
    }
    SECTION("offset beyond its policy, whatever the TAC states") {
        audit.tac.max_offset = seconds(2);
        CHECK(outcome() == "covers");
        audit.measured(microseconds(500'001));
        CHECK(outcome() == "offset");
        audit.tac.max_offset.reset();
        CHECK(outcome() == "offset");
    }
    SECTION("an unknown policy: its own limits, which must be there") {
        audit.tac.policies = {"1.2.3"};
        audit.measured(microseconds(400'000));
        CHECK(outcome() == "covers");
        audit.tac.max_offset = milliseconds(399);
        CHECK(outcome() == "offset");
        audit.tac.max_offset.reset();
        CHECK(outcome() == "offset");
        audit.rules.policies = builtin_policies();  // as the TSA itself
        CHECK(outcome() == "policy");
    }
    SECTION("delay") {
        audit.tac.delay = milliseconds(100);
        CHECK(outcome() == "covers");
        audit.tac.delay = microseconds(100'001);
        CHECK(outcome() == "delay");
        audit.tac.max_delay = milliseconds(200);  // it may not allow itself more than its policy does
        CHECK(outcome() == "delay");
        audit.tac.max_delay.reset();  // not stated: 100 ms
        CHECK(outcome() == "delay");
        audit.tac.delay = milliseconds(51);
        CHECK(outcome() == "covers");
        audit.tac.max_delay = milliseconds(50);
        CHECK(outcome() == "delay");
    }
    SECTION("genTime: from the audit (less what the clock may be behind) to the end, inclusive") {
        gen_time = audit.tac.ntp_time - milliseconds(500);
        CHECK(outcome() == "covers");
        gen_time -= nanoseconds(1);
        CHECK(outcome() == "window");
        gen_time = audit.tac.expiration;
        CHECK(outcome() == "covers");
        gen_time += nanoseconds(1);
        CHECK(outcome() == "window");
    }
    SECTION("an order to stop covers nothing") {
        audit.measured(microseconds(12'345), nanoseconds(0));
        gen_time = audit.tac.ntp_time;
        CHECK(outcome() == "window");
    }
    SECTION("holder") {
        audit.tac.holder_name = town::certificate("other-tsu").subject_der();
        CHECK(outcome() == "holder-name");
        audit.situation.tsu = town::certificate("other-tsu");
        CHECK(outcome() == "holder-digest");
    }
    SECTION("profile") {
        const auto from = to_generalized_time(audit.tac.not_after, 0);
        const auto to = to_generalized_time(audit.tac.not_after + hours(9), 0);
        audit.forge = [=](Bytes info) { return town::replaced(std::move(info), from, to); };
        CHECK(outcome() == "profile");
    }
    SECTION("signature, chain, algorithm, rubbish") {
        audit.signer = "foreign-taa";
        CHECK(outcome() == "signature");
        audit.signer = "taa";
        audit.rules.intermediates.pop_back();
        CHECK(outcome() == "chain");
        audit.hash = pki::Hash::sha512;
        CHECK(outcome() == "algorithm");
        audit.forge_after = [](const Bytes&) { return Bytes{0x30, 0x00}; };
        CHECK(outcome() == "malformed");
    }
}

TEST_CASE("each reason has its own word") {
    std::map<std::string_view, int> words;
    for (int i = 0; i <= static_cast<int>(Reason::contradiction); ++i) ++words[name(static_cast<Reason>(i))];
    CHECK(words.size() == static_cast<std::size_t>(Reason::contradiction) + 1);
}

TEST_CASE("a TAC of a revoked TAA is refused, and so is its order to stop") {
    const workshop::Folder& folder = town::folder();
    folder.crl("middle-empty", "middle");
    folder.crl("middle-taa", "middle", "taa");
    folder.crl("root-empty", "root");
    folder.crl("root-middle", "root", "middle", "cessationOfOperation");
    const auto lists = [&folder](const std::vector<std::string>& names) {
        pki::Crls all;
        for (const auto& name : names) {
            auto some = pki::load_crls(folder.at(name + ".crl"));
            REQUIRE(some);
            all.insert(all.end(), some->begin(), some->end());
        }
        return std::make_shared<const pki::Crls>(std::move(all));
    };
    Audit audit;
    audit.situation.crls = lists({"middle-empty", "root-empty"});
    CHECK(audit.accepted());
    for (const auto& [name, text] :
         {std::pair{"middle-taa", "CN=taa,O=Kokuin Test,C=JP is revoked since"},
          std::pair{"root-middle", "CN=middle,O=Kokuin Test,C=JP is revoked since"}}) {
        audit.situation.crls = lists({"middle-empty", name});
        const auto verdict = audit.judge();
        REQUIRE(std::holds_alternative<Refusal>(verdict));
        CHECK(std::get<Refusal>(verdict).reason == Reason::revoked);
        CHECK(std::get<Refusal>(verdict).text.find(text) == 0);
    }
    // An order to stop of a stolen key stops nobody.
    audit.tac.not_after = audit.tac.not_before;
    audit.tac.expiration = audit.tac.ntp_time;
    const auto order = audit.judge();
    REQUIRE(std::holds_alternative<Refusal>(order));
    CHECK(std::get<Refusal>(order).reason == Reason::revoked);
}

TEST_CASE("what else is known of a path counts like a list") {
    Audit audit;
    std::vector<std::string> asked;
    std::optional<std::string> why;
    audit.situation.revoked = [&](const std::vector<pki::Certificate>& path) {
        for (const auto& one : path) asked.push_back(one.subject_text());
        return why;
    };
    CHECK(audit.accepted());
    REQUIRE(asked.size() == 3);
    CHECK(asked.front() == "CN=taa,O=Kokuin Test,C=JP");
    why = "its responder says so";
    const auto refused = audit.judge();
    REQUIRE(std::holds_alternative<Refusal>(refused));
    CHECK(std::get<Refusal>(refused).reason == Reason::revoked);
    CHECK(std::get<Refusal>(refused).text == *why);
    audit.tac.not_after = audit.tac.not_before;
    audit.tac.expiration = audit.tac.ntp_time;
    CHECK(std::holds_alternative<Refusal>(audit.judge()));
    why.reset();
    CHECK(std::holds_alternative<StopOrder>(audit.judge()));
}
