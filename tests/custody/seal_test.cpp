#include <set>

#include "tests/custody/held.h"

using namespace kokuin;
using namespace kokuin::hsm::custody;

namespace {
const Bytes context{1, 2, 3};
const Bytes other_context{1, 2, 4};
}  // namespace

TEST_CASE("A box opens for its receiver, in its context, unchanged") {
    const auto seed = random_octets(seed_octets);
    const auto keys = public_keys(seed);
    const auto box = seal_for(keys.sealing, as_view("share"), context);
    CHECK(as_text(must(open_box(seed, box, context)).view()) == "share");
    CHECK_FALSE(open_box(random_octets(seed_octets), box, context));
    CHECK_FALSE(open_box(seed, box, other_context));
    for (std::size_t i = 0; i < box.sealed.size(); ++i) {
        auto changed = box;
        changed.sealed[i] ^= 1U;
        CHECK_FALSE(open_box(seed, changed, context));
    }
    auto changed = box;
    changed.ephemeral[0] ^= 1U;
    CHECK_FALSE(open_box(seed, changed, context));
    changed.ephemeral.assign(32, 0);  // agrees with nobody
    CHECK_FALSE(open_box(seed, changed, context));
    changed.ephemeral.clear();
    CHECK_FALSE(open_box(seed, changed, context));
    changed = box;
    changed.sealed.resize(15);
    CHECK_FALSE(open_box(seed, changed, context));
    CHECK(seal_for(keys.sealing, as_view("share"), context) != box);
}

TEST_CASE("A letterbox opens what is sealed for it, and no other's") {
    const Letterbox mine;
    const Letterbox other;
    const auto box = seal_for(mine.sealing_key(), as_view("share"), context);
    CHECK(as_text(must(mine.open(box, context)).view()) == "share");
    CHECK_FALSE(other.open(box, context));
}

TEST_CASE("A custodian's keys come from the seed alone; signatures verify for that key and message only") {
    const auto seed = random_octets(seed_octets);
    CHECK(public_keys(seed) == public_keys(seed));
    const auto keys = public_keys(seed);
    CHECK(keys.signing != keys.sealing);
    const auto signature = sign(seed, as_view("yes"));
    CHECK(signature.size() == 64);
    CHECK(verify(keys.signing, as_view("yes"), signature));
    CHECK_FALSE(verify(keys.signing, as_view("no"), signature));
    CHECK_FALSE(verify(public_keys(random_octets(seed_octets)).signing, as_view("yes"), signature));
    CHECK_FALSE(verify(Bytes(31), as_view("yes"), signature));
    CHECK_FALSE(verify(keys.signing, as_view("yes"), Bytes(10)));
}

TEST_CASE(
    "A passphrase opens what it closed; parameters nobody should compute, or too weak ones, are refused") {
    const auto locked = lock(as_view("seed"), as_view("passphrase"), context);
    CHECK(as_text(must(unlock(locked, as_view("passphrase"), context)).view()) == "seed");
    const auto wrong = unlock(locked, as_view("Passphrase"), context);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == Error::Kind::no);
    CHECK_FALSE(unlock(locked, as_view("passphrase"), other_context));
    const auto refused = [&](auto change) {
        auto changed = locked;
        change(changed);
        const auto opened = unlock(changed, as_view("passphrase"), context);
        return !opened && opened.error().kind == Error::Kind::usage;
    };
    CHECK(refused([](Locked& l) { l.memory_kib = UINT32_MAX; }));
    CHECK(refused([](Locked& l) { l.passes = UINT32_MAX; }));
    CHECK(refused([](Locked& l) { l.lanes = UINT32_MAX; }));
    CHECK(refused([](Locked& l) { l.lanes = 0; }));
    CHECK(refused([](Locked& l) { l.memory_kib = 1024; }));
    CHECK(refused([](Locked& l) { l.passes = 1; }));
    CHECK(refused([](Locked& l) { l.salt.clear(); }));
    CHECK(refused([](Locked& l) { l.nonce.clear(); }));
}

TEST_CASE("Any threshold of shares makes the secret again, fewer or foreign ones nothing") {
    const auto shares = split(as_view("the secret"), 3, 5);
    REQUIRE(shares.size() == 5);
    for (unsigned subset = 0; subset < 32; ++subset) {
        std::vector<View> chosen;
        for (unsigned i = 0; i < 5; ++i)
            if ((subset >> i) & 1U) chosen.push_back(shares[i].view());
        const auto made = combine(chosen);
        CHECK(made.ok() == (chosen.size() >= 3));
        if (made) CHECK(as_text(made->view()) == "the secret");
    }
    CHECK_FALSE(combine({shares[0].view(), shares[0].view(), shares[0].view()}));
    const auto others = split(as_view("the secret"), 3, 5);
    CHECK_FALSE(combine({shares[0].view(), shares[1].view(), others[2].view()}));
    Bytes changed(shares[2].view().begin(), shares[2].view().end());
    changed.back() ^= 1U;
    CHECK_FALSE(combine({shares[0].view(), shares[1].view(), changed}));
    CHECK_FALSE(combine({View(), View(), View()}));
}

TEST_CASE("Two secrets in one, and back") {
    const auto joined = join(as_view("first"), View());
    const auto both = must(part(joined.view()));
    CHECK(as_text(both.first.view()) == "first");
    CHECK(both.second.empty());
    const Bytes whole(joined.view().begin(), joined.view().end());
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(part(View(whole).first(size)));
    Bytes longer = whole;
    longer.push_back(0);
    CHECK_FALSE(part(longer));
}

TEST_CASE("Drawn PINs are 26 letters and digits, and never the same") {
    std::set<std::string> drawn;
    std::set<char> letters;
    for (int i = 0; i < 200; ++i) {
        const auto pin = as_text(draw_pin().view());
        CHECK(pin.size() == 26);
        letters.insert(pin.begin(), pin.end());
        drawn.insert(pin);
    }
    CHECK(drawn.size() == 200);
    CHECK(letters.size() == 32);
}
