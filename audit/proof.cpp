#include "audit/proof.h"

#include <algorithm>
#include <map>

#include "store/context.h"
#include "store/log_keys.h"
#include "store/prove.h"
#include "store/tlog/proof.h"

namespace kokuin::audit {
Result<ProofReport> check_proof(std::string_view file, const Trust* trust) {
    const auto proof = tlog::Proof::parse(file);
    if (!proof) return proof.error();
    const auto extra = store::decode_proved_record(proof->extra);
    if (!extra) return extra.error();
    std::map<store::BlobId, Bytes> blobs;
    for (const Bytes& blob : extra->blobs) blobs[store::blob_id(blob)] = blob;
    const auto find = [&blobs](const store::BlobId& id) -> Result<std::optional<Bytes>> {
        const auto found = blobs.find(id);
        return found == blobs.end() ? std::optional<Bytes>() : std::optional(found->second);
    };
    store::Contexts contexts;
    auto record = store::decode(extra->record, contexts, find);
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
        if (const auto signed_well = store::signed_by(proof->checkpoint, trust->log_keys); !signed_well)
            object("checkpoint", signed_well.error().text);
    }
    KeyHistory unknown;
    unknown.give_up();
    TokenCheck check(trust, unknown, find);
    for (auto& objection : check.check(*record, *issuance)) report.objections.push_back(std::move(objection));
    report.shown.token = check.token();
    const auto take = [&](const store::BlobId& id) { return find(id).value(); };
    report.shown.certificate = take(issuance->certificate).value_or(Bytes());
    if (issuance->tac) report.shown.tac = take(issuance->tac->blob);
    if (issuance->clock) report.shown.basis = take(issuance->clock->basis);
    report.shown.found.record = std::move(*record);
    return report;
}

}  // namespace kokuin::audit
