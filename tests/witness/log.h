// A log in memory, its key, and the tiles that it would serve.
#pragma once

#include <botan/auto_rng.h>
#include <botan/ed25519.h>
#include <botan/pubkey.h>

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "audit/witness/cosigner.h"
#include "audit/witness/visit.h"
#include "base/bytes.h"
#include "store/tlog/add_checkpoint.h"
#include "store/tlog/merkle.h"
#include "store/tlog/note.h"
#include "store/tlog/tile_path.h"

namespace kokuin::testing {

/// `salt`: logs of the same key with other leaves from the first one on that has it.
struct Log {
    Botan::AutoSeeded_RNG random;
    Botan::Ed25519_PrivateKey key{random};
    tlog::VerifierKey verifier = make("log.example/one");
    std::vector<tlog::Hash> leaves;

    tlog::VerifierKey make(const std::string& name) const {
        return *tlog::VerifierKey::make(name, tlog::VerifierKey::Type::ed25519, key.get_public_key());
    }
    void grow(std::size_t to, const std::string& salt = "") {
        while (leaves.size() < to)
            leaves.push_back(tlog::leaf_hash(as_view(salt + std::to_string(leaves.size()))));
    }
    [[nodiscard]] tlog::TreeHead head(std::size_t size) const {
        tlog::Growing tree;
        for (std::size_t i = 0; i < size; ++i) tree.add(leaves[i]);
        return tree.head();
    }
    tlog::Note note(const tlog::TreeHead& at) {
        tlog::Note made{tlog::Checkpoint{verifier.name(), at}.text(), {}};
        Botan::PK_Signer signer(key, random, "Pure");
        const auto signature = signer.sign_message(reinterpret_cast<const std::uint8_t*>(made.text.data()),
                                                   made.text.size(), random);
        made.signatures.push_back(tlog::signature_line(verifier, signature));
        return made;
    }
    tlog::Note note() { return note(head(leaves.size())); }
    [[nodiscard]] tlog::Hash root(std::uint64_t begin, std::uint64_t end) const {
        tlog::Growing tree;
        for (std::uint64_t i = begin; i < end; ++i) tree.add(leaves[i]);
        return tree.head().root;
    }
    [[nodiscard]] std::vector<tlog::Hash> proof(std::uint64_t from, std::uint64_t to) const {
        return *tlog::consistency_proof(from, to, [this](unsigned level, std::uint64_t index) {
            return Result<tlog::Hash>(root(index << level, (index + 1) << level));
        });
    }
    tlog::AddCheckpoint request(std::uint64_t from) { return {from, proof(from, leaves.size()), note()}; }
    /// As a log serves it.
    net::Response serve(const std::string& path) {
        if (path == "checkpoint") return net::Response::text(200, note().write());
        const auto slash = path.find('/', 5);
        const auto place = tlog::TilePlace::parse(path.substr(5, slash - 5), path.substr(slash + 1));
        if (!place || *place->leaves() > leaves.size()) return net::Response::text(404, "none");
        Bytes hashes;
        for (std::uint64_t i = 0; i < place->width; ++i) {
            const std::uint64_t index = place->position * 256 + i;
            append(hashes, place->level == 0
                               ? leaves[index]
                               : root(index << (8 * place->level), (index + 1) << (8 * place->level)));
        }
        return net::Response::octets(200, "application/octet-stream", hashes);
    }
};

struct SetWall final : WallClock {
    WallTime time{seconds(1'795'435'200)};
    [[nodiscard]] WallTime now() const override { return time; }
};

}  // namespace kokuin::testing
