// The Merkle tree of an archive, out of the tiles and records that its segments hold.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/tlog/merkle.h"

namespace kokuin::store {

/// Computes heads and proofs. Reads a few tiles of 8 KiB for each, whatever the archive's size, and at most
/// 255 records at its end. Believes what the archive says: whoever doesn't, verifies the proof against a
/// checkpoint. One thread at a time. Keeps the segments it has read open; not for long.
class TreeReader {
  public:
    /// Error (usage) if `dir` holds no archive.
    static Result<std::unique_ptr<TreeReader>> open(const std::string& dir);
    ~TreeReader();
    TreeReader(const TreeReader&) = delete;
    TreeReader& operator=(const TreeReader&) = delete;

    /// Head of the tree of the first `size` records. Of this and the next three: Error (usage) if that many
    /// aren't there; (environment) if a segment, a record or a tile is missing or damaged.
    Result<tlog::TreeHead> head(std::uint64_t size);
    /// tlog::inclusion_proof of a record, by its number.
    Result<std::vector<tlog::Hash>> inclusion_proof(std::uint64_t number, std::uint64_t size);
    /// tlog::consistency_proof.
    Result<std::vector<tlog::Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t size);
    /// C2SP tlog-tiles: hashes position * 256 … of this level, `width` (1 to 256) of them, 32 octets each.
    Result<Bytes> tile(unsigned level, std::uint64_t position, std::uint64_t width);

  private:
    class Impl;
    explicit TreeReader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kokuin::store
