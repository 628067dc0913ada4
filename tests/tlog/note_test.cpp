#include "store/tlog/note.h"

#include <botan/auto_rng.h>
#include <botan/ed25519.h>
#include <botan/pubkey.h>

#include <catch2/catch.hpp>

#include "store/tlog/proof.h"

using namespace kokuin;
using namespace kokuin::tlog;

namespace {

/// The example of golang.org/x/mod/sumdb/note, where the format comes from.
constexpr const char* neumann = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr const char* neumanns_note =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xE2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

struct Signer {
    Botan::AutoSeeded_RNG random;
    Botan::Ed25519_PrivateKey key{random};
    VerifierKey verifier(const std::string& name, VerifierKey::Type type) const {
        const auto& octets = key.get_public_key();
        return *VerifierKey::make(name, type, octets);
    }
    Bytes sign(const std::string& text) {
        Botan::PK_Signer signer(key, random, "Pure");
        return signer.sign_message(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), random);
    }
};

constexpr auto absent = Checked::Outcome::absent;
constexpr auto wrong = Checked::Outcome::wrong;
constexpr auto good = Checked::Outcome::good;

}  // namespace

TEST_CASE("a note that somebody else signed is read, verified and written again") {
    const auto key = VerifierKey::parse(neumann);
    REQUIRE(key);
    CHECK(key->name() == "PeterNeumann");
    CHECK(key->text() == neumann);
    auto note = Note::parse(neumanns_note);
    REQUIRE(note);
    CHECK(note->write() == neumanns_note);
    CHECK(check(*note, *key).outcome == good);
    note->text[0] = 'i';
    CHECK(check(*note, *key).outcome == wrong);
}

TEST_CASE("verifier keys are read strictly") {
    const std::string text = neumann;
    for (const std::string& bad :
         {std::string(), std::string("PeterNeumann"), text.substr(0, text.size() - 4), "x" + text,
          std::string("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
          std::string("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")}) {
        const auto key = VerifierKey::parse(bad);
        CHECK_FALSE(key);
        if (!key) CHECK(key.error().kind == Error::Kind::usage);
    }
    CHECK_FALSE(VerifierKey::make("a+b", VerifierKey::Type::ed25519, Bytes(32)));
    CHECK_FALSE(VerifierKey::make("", VerifierKey::Type::ed25519, Bytes(32)));
    CHECK_FALSE(VerifierKey::make("a", VerifierKey::Type::ed25519, Bytes(31)));
}

TEST_CASE("a log's signature and a witness's stand under one checkpoint") {
    Signer log;
    Signer witness;
    const auto log_key = log.verifier("example.com/log", VerifierKey::Type::ed25519);
    const auto witness_key = witness.verifier("witness.example/w1", VerifierKey::Type::cosignature);
    CHECK(VerifierKey::parse(witness_key.text()).value() == witness_key);

    Growing tree;
    tree.add(leaf_hash(as_view("first")));
    const Checkpoint checkpoint{"example.com/log", tree.head()};
    CHECK(Checkpoint::parse(checkpoint.text()).value() == checkpoint);
    Note note{checkpoint.text(), {}};
    CHECK(check(note, log_key).outcome == absent);
    note.signatures.push_back(signature_line(log_key, log.sign(signed_text(log_key.type(), note.text))));
    constexpr std::uint64_t time = 1'790'000'000;
    note.signatures.push_back(
        signature_line(witness_key, witness.sign(signed_text(witness_key.type(), note.text, time)), time));
    const auto read = Note::parse(note.write());
    REQUIRE(read);
    CHECK(read->write() == note.write());
    CHECK(check(*read, log_key).outcome == good);
    CHECK(check(*read, witness_key).outcome == good);
    CHECK(check(*read, witness_key).time == time);
    // The same key under another name or type is another key.
    CHECK(check(*read, log.verifier("example.com/log", VerifierKey::Type::cosignature)).outcome == absent);
    CHECK(check(*read, log.verifier("example.com/log2", VerifierKey::Type::ed25519)).outcome == absent);

    auto later = *read;
    later.signatures[1].signature[7] ^= 1U;  // the time
    CHECK(check(later, witness_key).outcome == wrong);
    later.signatures[1].signature.resize(7);
    CHECK(check(later, witness_key).outcome == wrong);
    auto changed = *read;
    changed.text.insert(0, "x");
    CHECK(check(changed, log_key).outcome == wrong);
    // A wrong one beside a good one: refused.
    auto both = *read;
    both.signatures.push_back(both.signatures[0]);
    both.signatures.back().signature[0] ^= 1U;
    CHECK(check(both, log_key).outcome == wrong);
}

TEST_CASE("what is no note or no checkpoint is refused") {
    const std::string note = neumanns_note;
    for (const std::string& bad : {std::string(), std::string("\n\n"), note.substr(0, note.size() - 1),
                                   note.substr(0, note.find("\n\n") + 2), "\t" + note, "\xff" + note,
                                   note + "x\n", note + "\xE2\x80\x94 Peter\n",
                                   note + "\xE2\x80\x94 Peter eA==\n", note + std::string(64 << 10, 'x')})
        CHECK_FALSE(Note::parse(bad));
    const std::string root = to_base64(Hash{});
    CHECK(Checkpoint::parse("o\n0\n" + root + "\n"));
    CHECK(Checkpoint::parse("o\n9223372036854775807\n" + root + "\nmore\n"));
    for (const std::string& bad :
         {std::string(), "o\n0\n" + root, "\n0\n" + root + "\n", "o\n01\n" + root + "\n",
          "o\n-1\n" + root + "\n", "o\n \n" + root + "\n", "o\n9223372036854775808\n" + root + "\n",
          "o\n1\n" + root.substr(4) + "\n", "o\n1\n" + root + "\n\n", "o\n1\n" + root + "\nx"})
        CHECK_FALSE(Checkpoint::parse(bad));
}

TEST_CASE("a proof file is what C2SP tlog-proof describes") {
    Proof proof;
    proof.extra = {1, 2, 3};
    proof.index = 73894;
    proof.hashes = {leaf_hash(as_view("a")), leaf_hash(as_view("b"))};
    proof.checkpoint = Note::parse(neumanns_note).value();
    const std::string file = proof.write();
    CHECK(file.starts_with("c2sp.org/tlog-proof@v1\nextra AQID\nindex 73894\n"));
    const auto read = Proof::parse(file);
    REQUIRE(read);
    CHECK(read->write() == file);
    CHECK(read->hashes == proof.hashes);
    for (const std::string& bad :
         {std::string(), std::string("c2sp.org/tlog-proof@v2\n"), file.substr(0, file.find("\n\n")),
          "c2sp.org/tlog-proof@v1\nindex 01\n\n" + std::string(neumanns_note),
          "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n" + std::string(neumanns_note),
          "c2sp.org/tlog-proof@v1\n\n" + std::string(neumanns_note)})
        CHECK_FALSE(Proof::parse(bad));
}
