#include "store/log_keys.h"

#include <algorithm>

#include "store/tree_reader.h"

namespace kokuin::store {

Result<std::vector<tlog::VerifierKey>> recorded_keys(ArchiveReader& reader) {
    std::vector<tlog::VerifierKey> keys;
    EventQuery query;
    query.kind = "archive.key";
    const auto done = reader.events(query, [&](const Found& found) {
        const auto* text = found.event().find<std::string>("verifier");
        auto key = text ? tlog::VerifierKey::parse(*text) : Error::no("");
        const auto is_it = [&key](const tlog::VerifierKey& one) { return one.text() == key->text(); };
        if (key && std::none_of(keys.begin(), keys.end(), is_it)) keys.push_back(*key);
        return true;
    });
    if (!done) return done.error();
    return keys;
}

Result<tlog::Checkpoint> signed_by(const tlog::Note& note, const std::vector<tlog::VerifierKey>& keys) {
    auto checkpoint = tlog::Checkpoint::parse(note.text);
    if (!checkpoint) return checkpoint;
    bool good = false;
    for (const auto& key : keys) {
        if (key.name() != checkpoint->origin) continue;
        const auto outcome = tlog::check(note, key).outcome;
        if (outcome == tlog::Checked::Outcome::wrong)
            return Error::no("the signature of the log key " + key.text() + " under it is wrong");
        good = good || outcome == tlog::Checked::Outcome::good;
    }
    if (!good)
        return Error::no("it is of the log " + checkpoint->origin +
                         ", and no log key that is known has signed it");
    return checkpoint;
}

Result<std::uint64_t> covered_in(const std::string& dir, ArchiveReader& reader) {
    const auto newest = reader.latest_checkpoint();
    if (!newest) return newest.error();
    if (!*newest) return 0;
    const auto keys = recorded_keys(reader);
    if (!keys) return keys.error();
    const auto note = tlog::Note::parse((*newest)->note);
    const auto checkpoint = note ? signed_by(*note, *keys) : Result<tlog::Checkpoint>(note.error());
    const auto tree = TreeReader::open(dir);
    if (!tree) return tree.error();
    const auto head =
        checkpoint ? (*tree)->head(checkpoint->head.size) : Result<tlog::TreeHead>(checkpoint.error());
    if (!head || *head != checkpoint->head)
        return Error::environment(
            dir + ": its newest checkpoint (" + (*newest)->segment +
            ") can't be believed: " + (head ? "it was signed over other records" : head.error().text) +
            "; see what is wrong with: tsaudit verify");
    return checkpoint->head.size;
}

}  // namespace kokuin::store
