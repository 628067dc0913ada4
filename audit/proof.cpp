#include "audit/proof.h"

#include <algorithm>
#include <map>

#include "base/der.h"
#include "store/tlog/proof.h"
#include "store/tree_reader.h"

namespace kokuin::audit {
namespace {

Bytes write_extra(View record, const std::vector<Bytes>& blobs) {
    Bytes all;
    for (const Bytes& blob : blobs) append(all, der::octets(blob));
    return der::sequence({der::octets(record), der::tlv(der::sequence_tag, all)});
}

struct Extra {
    Bytes record;
    std::vector<Bytes> blobs;
};

Result<Extra> read_extra(View octets) {
    der::Reader in(octets);
    der::Reader outer = in.enter(der::sequence_tag, "proof");
    in.finish("proof");
    Extra extra;
    extra.record = outer.read_octets("record");
    der::Reader blobs = outer.enter(der::sequence_tag, "blobs");
    outer.finish("proof");
    while (!blobs.at_end()) extra.blobs.push_back(blobs.read_octets("blob"));
    if (in.failed()) return Error::usage("no proof of a token: " + in.fault().text());
    return extra;
}

}  // namespace

Result<std::string> prove(const std::string& dir, View serial) {
    auto reader = store::ArchiveReader::open(dir);
    if (!reader) return reader.error();
    const auto shown = (*reader)->show(serial);
    if (!shown) return shown.error();
    const auto number = static_cast<std::uint64_t>(shown->found.record.number);
    const auto newest = (*reader)->latest_checkpoint();
    if (!newest) return newest.error();
    if (!*newest || (*newest)->size <= number)
        return Error::no("the token is under no checkpoint yet: try again in some seconds, while tsad runs");
    tlog::Proof proof;
    proof.index = number;
    auto note = tlog::Note::parse((*newest)->note);
    const auto checkpoint =
        note ? tlog::Checkpoint::parse(note->text) : Result<tlog::Checkpoint>(note.error());
    if (!checkpoint)
        return Error::environment("segment " + (*newest)->segment +
                                  ": its newest checkpoint can't be read: " + checkpoint.error().text);
    proof.checkpoint = std::move(*note);

    const auto record = store::encode(shown->found.record);
    if (!record) return record.error();
    std::vector<Bytes> blobs;
    for (const auto& id : store::blobs_of(shown->found.issuance())) {
        auto blob = (*reader)->blob(id, shown->found.segment);
        if (!blob) return blob.error();
        blobs.push_back(std::move(*blob));
    }
    proof.extra = write_extra(*record, blobs);
    auto tree = store::TreeReader::open(dir);
    if (!tree) return tree.error();
    auto hashes = (*tree)->inclusion_proof(number, checkpoint->head.size);
    if (!hashes) return hashes.error();
    proof.hashes = std::move(*hashes);
    if (!tlog::verify_inclusion(number, tlog::leaf_hash(*record), proof.hashes, checkpoint->head))
        return Error::environment(
            dir + ": record " + std::to_string(number) +
            " isn't in the tree that its newest checkpoint was signed over; see what is wrong with: "
            "tsaudit verify");
    return proof.write();
}

Result<ProofReport> check_proof(std::string_view file, const Trust* trust) {
    const auto proof = tlog::Proof::parse(file);
    if (!proof) return proof.error();
    const auto extra = read_extra(proof->extra);
    if (!extra) return extra.error();
    auto record = store::decode(extra->record);
    if (!record) return Error::usage("no proof of a token: " + record.error().text);
    const auto* issuance = std::get_if<store::Issuance>(&record->body);
    if (!issuance) return Error::usage("no proof of a token: its record is an event's");
    const auto checkpoint = tlog::Checkpoint::parse(proof->checkpoint.text);
    if (!checkpoint) return checkpoint.error();

    ProofReport report;
    report.origin = checkpoint->origin;
    report.size = checkpoint->head.size;
    report.anchored = trust && !trust->log_keys.empty() && !trust->anchors.empty();
    const auto object = [&report](const char* kind, std::string detail) {
        report.objections.push_back({kind, std::move(detail)});
    };
    if (record->number < 0 || static_cast<std::uint64_t>(record->number) != proof->index)
        object("moved", "it is record " + std::to_string(record->number) + ", the proof is for " +
                            std::to_string(proof->index));
    if (!tlog::verify_inclusion(proof->index, tlog::leaf_hash(extra->record), proof->hashes,
                                checkpoint->head))
        object("tree", "the record isn't in the tree that the checkpoint was signed over");
    if (trust && !trust->log_keys.empty()) {
        if (const auto signed_well = read_checkpoint(proof->checkpoint, trust->log_keys); !signed_well)
            object("checkpoint", signed_well.error().text);
    }
    std::map<store::BlobId, Bytes> blobs;
    for (const Bytes& blob : extra->blobs) blobs[store::blob_id(blob)] = blob;
    const auto find = [&blobs](const store::BlobId& id) -> Result<std::optional<Bytes>> {
        const auto found = blobs.find(id);
        return found == blobs.end() ? std::optional<Bytes>() : std::optional(found->second);
    };
    const KeyHistory unknown;
    TokenCheck check(trust, unknown, find);
    for (auto& objection : check.check(*issuance))
        if (objection.kind != "key") report.objections.push_back(std::move(objection));
    report.shown.token = check.token();
    const auto take = [&](const store::BlobId& id) { return find(id).value(); };
    report.shown.certificate = take(issuance->certificate).value_or(Bytes());
    if (issuance->tac) report.shown.tac = take(issuance->tac->blob);
    if (issuance->clock) report.shown.basis = take(issuance->clock->basis);
    report.shown.found.record = std::move(*record);
    return report;
}

}  // namespace kokuin::audit
