// A month as evidence records, time-stamped and renewed by openssl.
#include "evidence/month.h"

#include <catch2/catch.hpp>

#include "base/der.h"
#include "evidence/check.h"
#include "tests/evidence/openssl_tsa.h"

using namespace kokuin;
using namespace kokuin::evidence;
using pki::Hash;

namespace {

/// Records 1000 to 1029: each third is an event, and a whole group has no token.
struct Town {
    static testing::OpensslTsa& usual() {
        static testing::OpensslTsa one;
        return one;
    }
    testing::OpensslTsa& tsa = usual();
    Grouping grouping{1000, 1030, 8};
    Bytes head{'h', 'e', 'a', 'd', '\n'};
    std::vector<Layer> layers;

    static bool is_token(store::RecordNumber number) {
        return number % 3 != 0 && (number < 1008 || number >= 1016);
    }
    static Object token(store::RecordNumber number) {
        const std::string text = "token " + std::to_string(number);
        return {number, der::octets(as_view(text))};
    }
    std::vector<Object> tokens(std::size_t group) const {
        std::vector<Object> all;
        for (auto number = grouping.begin_of(group); number < grouping.begin_of(group + 1); ++number)
            if (is_token(number)) all.push_back(token(number));
        return all;
    }
    Month month() const { return {grouping, head, layers}; }

    void new_tree(Hash hash) {
        const auto now = month();
        std::vector<Bytes> groups;
        for (std::size_t group = 0; group < grouping.groups(); ++group)
            groups.push_back(now.group_root(layers.size(), hash, tokens(group)));
        const auto stamp = tsa.stamp(hash, now.imprint(layers.size(), hash, groups));
        layers.push_back({hash, groups, {stamp}});
    }
    void renew() {
        auto& layer = layers.back();
        layer.stamps.push_back(tsa.stamp(layer.hash, renewal_imprint(layer.hash, layer.stamps)));
    }
    Sequence evidence(store::RecordNumber number) const {
        auto chains = month().evidence(number, tokens(grouping.group_of(number)));
        REQUIRE(chains);
        // As it is read by others.
        auto read = parse_record(encode_record(*chains));
        REQUIRE(read);
        REQUIRE(encode_record(*read) == encode_record(*chains));
        return std::move(*read);
    }
    Verdict judge(const Sequence& chains, const Bytes& object) const {
        return check(chains, object, tsa.believed, SystemWallClock().now() + std::chrono::seconds(2));
    }
};

/// Its time-stamps count, and none whose signature was changed.
void check_stamps_of(testing::OpensslTsa& tsa) {
    Town town{tsa, {1000, 1030, 8}, {'h'}, {}};
    town.new_tree(Hash::sha256);
    town.renew();
    const auto chains = town.evidence(1001);
    const auto verdict = town.judge(chains, Town::token(1001).octets);
    for (const auto& fault : verdict.faults) FAIL_CHECK(fault);
    CHECK(verdict.stamps.size() == 2);
    auto spoiled = chains;
    auto stamps = chains[0].stamps;
    stamps[1].time_stamp.back() ^= 1U;  // the signature stands last
    spoiled[0] = make_chain(stamps);
    CHECK_FALSE(town.judge(spoiled, Town::token(1001).octets).ok());
}

}  // namespace

TEST_CASE("each token of a month, and its head, is proved, through renewals of both kinds") {
    Town town;
    CHECK_FALSE(town.month().evidence(1000, town.tokens(0)));
    town.new_tree(Hash::sha256);
    town.renew();
    town.renew();
    town.new_tree(Hash::sha512);
    town.renew();

    std::size_t count = 0;
    for (auto number = town.grouping.first; number < town.grouping.end; ++number) {
        if (!Town::is_token(number)) {
            CHECK_FALSE(town.month().evidence(number, town.tokens(town.grouping.group_of(number))));
            continue;
        }
        ++count;
        const auto chains = town.evidence(number);
        const auto verdict = town.judge(chains, Town::token(number).octets);
        for (const auto& fault : verdict.faults) FAIL_CHECK(number << ": " << fault);
        REQUIRE(verdict.stamps.size() == 5);
        CHECK(verdict.stamps[2].chain == 0);
        CHECK(verdict.stamps[3].chain == 1);
        CHECK(verdict.stamps[3].hash == "sha512");
        CHECK(verdict.stamps[0].tsa == "CN=Other TSA,O=Other");
        // Of another token it proves nothing. (The first chain alone would prove its neighbour too, whose
        // hash stands in the first list: that one was there as well.)
        CHECK_FALSE(town.judge(chains, Town::token(number + 1).octets).ok());
    }
    CHECK(count == 15);
    const auto head = town.month().evidence_of_head();
    CHECK(town.judge(head, town.head).ok());
    CHECK_FALSE(town.judge(head, Town::token(1001).octets).ok());
}

TEST_CASE("a month without tokens is proved by its head alone") {
    Town town;
    town.grouping = {1008, 1016, 8};
    town.new_tree(Hash::sha512);
    CHECK(town.month().evidence_of_head().front().stamps.front().reduced.empty());
    CHECK(town.judge(town.month().evidence_of_head(), town.head).ok());
}

TEST_CASE("a TSA that signs with ECDSA") {
    testing::OpensslTsa elliptic({"ec", "-pkeyopt", "ec_paramgen_curve:P-256"});
    check_stamps_of(elliptic);
}

TEST_CASE("a TSA that signs with RSA-PSS") {
    testing::OpensslTsa other;
    SECTION("an RSA key") {
        other.sign_with_pss(
            {"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"},
            {"-md", "sha256", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32"});
    }
    SECTION("with another hash in its mask, and a salt of another length") {
        other.sign_with_pss({"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"},
                            {"-md", "sha512", "-keyopt", "rsa_padding_mode:pss", "-keyopt",
                             "rsa_mgf1_md:sha256", "-keyopt", "rsa_pss_saltlen:20"});
    }
    check_stamps_of(other);
}

TEST_CASE("what is altered, left out or too late is told") {
    Town town;
    town.new_tree(Hash::sha256);
    town.renew();
    town.renew();
    town.new_tree(Hash::sha512);
    const auto good = town.evidence(1001);
    const auto object = Town::token(1001).octets;
    REQUIRE(town.judge(good, object).ok());

    SECTION("a renewal that isn't over the one before") {
        auto chains = good;
        auto stamps = chains[0].stamps;
        std::swap(stamps[0].time_stamp, stamps[1].time_stamp);
        chains[0] = make_chain(stamps);
        CHECK_FALSE(town.judge(chains, object).ok());
    }
    SECTION("a later chain isn't over what an earlier one has lost") {
        auto chains = good;
        auto stamps = chains[0].stamps;
        stamps.pop_back();
        chains[0] = make_chain(stamps);
        CHECK_FALSE(town.judge(chains, object).ok());
    }
    SECTION("the first chain left out") {
        CHECK_FALSE(town.judge({good[1]}, object).ok());
    }
    SECTION("every octet of the hash trees counts") {
        for (std::size_t list = 0; list < good[1].stamps[0].reduced.size(); ++list)
            for (std::size_t hash = 0; hash < good[1].stamps[0].reduced[list].size(); ++hash) {
                auto chains = good;
                auto stamps = chains[1].stamps;
                stamps[0].reduced[list][hash][7] ^= 1U;
                chains[1] = make_chain(stamps);
                CHECK_FALSE(town.judge(chains, object).ok());
            }
    }
    SECTION("another root") {
        testing::OpensslTsa other;
        CHECK_FALSE(
            check(good, object, other.believed, SystemWallClock().now() + std::chrono::seconds(2)).ok());
        // Nobody named: nobody's path is judged.
        CHECK(check(good, object, {}, SystemWallClock().now() + std::chrono::seconds(2)).ok());
    }
    SECTION("the last certificate has ended, or none has begun") {
        const auto now = SystemWallClock().now();
        const auto later = check(good, object, town.tsa.believed, now + std::chrono::hours(24 * 366));
        CHECK_FALSE(later.ok());
        CHECK(later.faults.empty());  // nothing is wrong with it but its age
        CHECK(later.gaps.size() == 1);
        CHECK_FALSE(check(good, object, town.tsa.believed, now - std::chrono::hours(1)).ok());
    }
    SECTION("SHA-1") {
        auto chains = good;
        auto stamps = chains[0].stamps;
        for (auto& stamp : stamps) stamp.hash = pki::Hash::sha1;
        for (auto& list : stamps[0].reduced)
            for (auto& hash : list) hash.resize(20);
        stamps.resize(1);
        chains[0] = make_chain(stamps);
        CHECK_FALSE(town.judge(chains, object).ok());
        CHECK_FALSE(check_stamp(good[0].stamps[0].time_stamp, pki::Hash::sha1, object, town.tsa.believed));
    }
    SECTION("a record that isn't the month's, or too much of everything") {
        CHECK_FALSE(town.month().evidence(999, town.tokens(0)));
        CHECK_FALSE(town.month().evidence(1030, town.tokens(0)));
        CHECK_FALSE(parse_record(encode_record(Sequence(101, good[0]))));
        CHECK(parse_record(encode_record(Sequence(100, good[0]))));
    }
    SECTION("octets of the file") {
        const auto whole = encode_record(good);
        // The list of algorithms in front only repeats; at the end stands the newest time-stamp, of which
        // nobody has signed everything (further certificates).
        const auto begin = whole.size() - encode_sequence(good, good.size()).size();
        const auto end = whole.size() - good[1].stamps[0].time_stamp.size();
        for (std::size_t at = begin; at < end; at += 17) {
            Bytes octets = whole;
            octets[at] ^= 0x11U;
            const auto read = parse_record(octets);
            INFO("octet " << at);
            CHECK_FALSE((read && town.judge(*read, object).ok()));
        }
        for (std::size_t length = 0; length < whole.size(); length += 97)
            CHECK_FALSE(parse_record(View(whole).first(length)));
    }
}

TEST_CASE("groups as a blob") {
    const Grouping grouping{0, 1'000'000'000, 256};
    CHECK(Grouping::of(0, 100).span == 256);
    CHECK(Grouping::of(5, 10'000'005).groups() <= 4096);
    CHECK(Grouping::of(5, 5).groups() == 0);
    CHECK(grouping.begin_of(grouping.groups()) == grouping.end);
    Grouping small{1000, 1030, 8};
    std::vector<Bytes> roots(4);
    roots[2] = Bytes(32, 7);
    const auto octets = encode_groups(small, roots);
    Grouping read{1000, 1030, 1};
    CHECK(*decode_groups(octets, Hash::sha256, read) == roots);
    CHECK(read == small);
    CHECK_FALSE(decode_groups(octets, Hash::sha512, read));
    Grouping other{1000, 1070, 8};
    CHECK_FALSE(decode_groups(octets, Hash::sha256, other));
}
