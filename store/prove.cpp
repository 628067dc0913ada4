#include "store/prove.h"

#include <utility>

#include "base/der.h"
#include "store/reader.h"
#include "store/tlog/proof.h"
#include "store/tree_reader.h"

namespace kokuin::store {

Bytes encode(const ProvedRecord& proved) {
    Bytes all;
    for (const Bytes& blob : proved.blobs) append(all, der::octets(blob));
    return der::sequence({der::octets(proved.record), der::tlv(der::sequence_tag, all)});
}

Result<ProvedRecord> decode_proved_record(View octets) {
    der::Reader in(octets);
    der::Reader outer = in.enter(der::sequence_tag, "proof");
    in.finish("proof");
    ProvedRecord proved;
    proved.record = outer.read_octets("record");
    der::Reader blobs = outer.enter(der::sequence_tag, "blobs");
    outer.finish("proof");
    while (!blobs.at_end()) proved.blobs.push_back(blobs.read_octets("blob"));
    if (in.failed()) return Error::usage("no proof of a token: " + in.fault().text());
    return proved;
}

Result<std::string> prove(const std::string& dir, View serial) {
    auto reader = ArchiveReader::open(dir);
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

    const auto& record = shown->found.record;
    const auto body = encode_body(shown->found.issuance());
    if (!body) return body.error();
    ProvedRecord proved{encode_around(record.number, record.at_us, record.salt, *body), {}};
    const View context = body->context->content();
    proved.blobs.emplace_back(context.begin(), context.end());
    for (const auto& id : blobs_of(shown->found.issuance())) {
        auto blob = (*reader)->blob(id, shown->found.segment);
        if (!blob) return blob.error();
        proved.blobs.push_back(std::move(*blob));
    }
    proof.extra = encode(proved);
    auto tree = TreeReader::open(dir);
    if (!tree) return tree.error();
    auto hashes = (*tree)->inclusion_proof(number, checkpoint->head.size);
    if (!hashes) return hashes.error();
    proof.hashes = std::move(*hashes);
    if (!tlog::verify_inclusion(number, tlog::leaf_hash(proved.record), proof.hashes, checkpoint->head))
        return Error::environment(dir + ": record " + std::to_string(number) +
                                  " isn't in the tree that its newest checkpoint was signed over; see what "
                                  "is wrong with: tsaudit verify");
    return proof.write();
}

}  // namespace kokuin::store
