#include "audit/witness/visit.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "store/tiles.h"
#include "store/tlog/merkle.h"
#include "store/tlog/tile_path.h"

namespace kokuin::audit::witness {
namespace {

using tlog::TilePlace;

/// The tiles of the tree of one size, each fetched once. What they say is proved by nobody before it is
/// hashed up to a root.
class RemoteTiles {
  public:
    RemoteTiles(const Get& get, std::uint64_t size) : get_(get), size_(size) {}

    /// As store::Tiles. A tile has all the hashes that it has in this tree, `width` or more.
    Result<Bytes> tile(unsigned level, std::uint64_t position) {
        const auto known = tiles_.find({level, position});
        if (known != tiles_.end()) return known->second;
        const std::uint64_t hashes = size_ >> (8 * level);
        const TilePlace place{level, position,
                              std::min(store::tile_width, hashes - position * store::tile_width)};
        auto fetched = fetch(place);
        // A log may forget what was a part of a tile once the tile is full.
        if (!fetched && fetched.error().kind == Error::Kind::no && place.width < store::tile_width)
            fetched = fetch({level, position});
        if (!fetched) return Error::environment(fetched.error().text);
        fetched->resize(place.width * sizeof(tlog::Hash));
        return tiles_.emplace(std::pair(level, position), std::move(*fetched)).first->second;
    }

  private:
    /// Error (no): it isn't there.
    Result<Bytes> fetch(const TilePlace& place) {
        const std::string path = place.path();
        auto answer = get_(path);
        if (!answer) return Error::environment(answer.error().text);
        if (answer->status == 404) return Error::no(path + ": the log hasn't got this tile (404)");
        if (answer->status != 200)
            return Error::environment(path + ": the log answers with HTTP " + std::to_string(answer->status));
        if (answer->body.size() != place.width * sizeof(tlog::Hash))
            return Error::environment(path + ": what the log sends is no tile of this width");
        return std::move(answer->body);
    }

    const Get& get_;
    const std::uint64_t size_;
    std::map<std::pair<unsigned, std::uint64_t>, Bytes> tiles_;
};

Result<Seen> fetch_checkpoint(const Get& get) {
    const auto answer = get("checkpoint");
    if (!answer) return Error::environment(answer.error().text);
    if (answer->status != 200)
        return Error::environment("checkpoint: the log answers with HTTP " + std::to_string(answer->status) +
                                  ": is --url its prefix, and does it sign checkpoints yet?");
    auto note = tlog::Note::parse(as_text(answer->body));
    auto checkpoint = note ? tlog::Checkpoint::parse(note->text) : Result<tlog::Checkpoint>(note.error());
    if (!checkpoint)
        return Error::environment("checkpoint: " + checkpoint.error().text +
                                  ": is --url the prefix of a log?");
    return Seen{std::move(*checkpoint), std::move(*note)};
}

Done prove(Cosigner& cosigner, const Seen& last, const Seen& now, const Get& get) {
    const tlog::TreeHead& before = last.checkpoint.head;
    const tlog::TreeHead& after = now.checkpoint.head;
    if (after.size < before.size)
        return cosigner.contradiction(last, now,
                                      "HISTORY ROLLED BACK (or a cache answered with an old checkpoint)");
    if (after.size == before.size)
        return after == before ? Done() : cosigner.contradiction(last, now, "HISTORY REWRITTEN");

    RemoteTiles remote(get, after.size);
    const store::Tiles tiles = [&remote](unsigned level, std::uint64_t position, std::uint64_t) {
        return remote.tile(level, position);
    };
    const auto nodes = store::nodes_in(tiles);
    // First whether the tiles are those of the checkpoint at all: if they are, and the proof out of them
    // fails, then the log itself has signed that its history is another one.
    const auto tree = tlog::grown(after.size, nodes);
    if (!tree) return tree.error();
    if (tree->head() != after)
        return cosigner.contradiction(
            last, now, "NO PROOF: the tiles that the log serves aren't those of its checkpoint");
    const auto proof = tlog::consistency_proof(before.size, after.size, nodes);
    if (!proof) return proof.error();
    if (!tlog::verify_consistency(before, after, *proof))
        return cosigner.contradiction(last, now, "HISTORY REWRITTEN");
    return {};
}

}  // namespace

Result<tlog::Note> visit(Cosigner& cosigner, const tlog::VerifierKey& log, const Get& get) {
    const auto now = fetch_checkpoint(get);
    if (!now) return now.error();
    if (now->checkpoint.origin != log.name())
        return Error::no("checkpoint: it is of the log " + now->checkpoint.origin + ", not of " + log.name());
    if (auto judged = cosigner.judge(now->checkpoint, now->note); !judged)
        return Error::no("checkpoint: " + judged.error().text);
    return cosigner.cosign(now->checkpoint, now->note, [&](const std::optional<Seen>& last) -> Done {
        return last ? prove(cosigner, *last, *now, get) : Done();
    });
}

}  // namespace kokuin::audit::witness
