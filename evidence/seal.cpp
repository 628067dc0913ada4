#include "evidence/seal.h"

#include <algorithm>
#include <functional>
#include <map>

#include "store/context.h"
#include "store/scan.h"
#include "store/tiles.h"
#include "store/tlog/note.h"

namespace kokuin::evidence {
namespace {

using FindBlob = std::function<Result<Bytes>(const store::BlobId&)>;

Bytes octets_of(const store::BlobId& id) {
    return {id.begin(), id.end()};
}

Entry stamp_entry(const std::string& segment, std::size_t index, std::size_t stamp, const Stamped& stamped,
                  pki::Hash hash, View time_stamp, const char* what) {
    Entry entry;
    const store::Blob token(Bytes(time_stamp.begin(), time_stamp.end()));
    entry.event.kind = seal_stamped;
    entry.event.subject = segment;
    entry.event.text = std::string(what) + " at " + to_rfc3339(stamped.time) + " by " + stamped.tsa +
                       ", whose certificate ends " + to_rfc3339(stamped.until);
    entry.event.fields = {
        {"chain", static_cast<std::int64_t>(index)}, {"stamp", static_cast<std::int64_t>(stamp)},
        {"algorithm", std::string(pki::oid(hash))},  {"time_us", to_unix_us(stamped.time)},
        {"until_us", to_unix_us(stamped.until)},     {"time_stamp", octets_of(token.id())}};
    entry.event.blobs = {token.id()};
    entry.blobs = {token};
    return entry;
}

Result<Bytes> blob_field(const store::Event& event, const char* name, const FindBlob& blob) {
    const auto* id = event.find<Bytes>(name);
    store::BlobId wanted{};
    if (!id || id->size() != wanted.size())
        return Error::environment("its field '" + std::string(name) + "' names no blob");
    std::copy(id->begin(), id->end(), wanted.begin());
    if (std::find(event.blobs.begin(), event.blobs.end(), wanted) == event.blobs.end())
        return Error::environment("its field '" + std::string(name) + "' names a blob that isn't its own");
    return blob(wanted);
}

/// A month while its events are read.
struct Draft {
    store::RecordNumber number = 0;
    tlog::TreeHead head;
    Grouping grouping;
    Bytes note;
    std::vector<Layer> layers{};
    std::int64_t stamped_us = 0;
    std::int64_t until_us = 0;
    std::optional<Kinds> kinds{};
};

Result<Draft> read_made(const store::Record& record, const store::Event& event, const FindBlob& blob) {
    const auto* first = event.find<std::int64_t>("first");
    const auto* size = event.find<std::int64_t>("size");
    const auto* root = event.find<Bytes>("root");
    auto note = blob_field(event, "checkpoint", blob);
    if (!note) return note.error();
    if (!first || !size || !root) return Error::environment("a field of it is missing");
    const auto parsed = tlog::Note::parse(as_text(*note));
    const auto checkpoint =
        parsed ? tlog::Checkpoint::parse(parsed->text) : Result<tlog::Checkpoint>(parsed.error());
    if (!checkpoint) return Error::environment("its checkpoint can't be read: " + checkpoint.error().text);
    const auto& head = checkpoint->head;
    const auto end = static_cast<store::RecordNumber>(head.size);
    if (head.size > store::most_leaves || *size != end || !equal(*root, head.root))
        return Error::environment("its checkpoint is of another head than it says");
    if (*first < 0 || *first > end || end > record.number)
        return Error::environment("it seals records that it can't seal");
    Draft draft{record.number, head, Grouping::of(*first, end), std::move(*note)};
    if (event.fields.contains("kinds")) {
        const auto list = blob_field(event, "kinds", blob);
        auto kinds = list ? decode_kinds(*list) : Result<Kinds>(list.error());
        if (!kinds) return kinds.error();
        draft.kinds = std::move(*kinds);
    }
    return draft;
}

Done add_stamp(const store::Event& event, const FindBlob& blob, Draft& draft) {
    const auto* index = event.find<std::int64_t>("chain");
    const auto* stamp_index = event.find<std::int64_t>("stamp");
    const auto* oid = event.find<std::string>("algorithm");
    const auto* time = event.find<std::int64_t>("time_us");
    const auto* until = event.find<std::int64_t>("until_us");
    auto stamp = blob_field(event, "time_stamp", blob);
    if (!stamp) return stamp.error();
    if (!index || !stamp_index || !oid || !time || !until)
        return Error::environment("a field of it is missing");
    const auto known = pki::hash_from_oid(*oid);
    if (!known || *known == pki::Hash::sha1)
        return Error::environment("its hash function " + *oid + " isn't one that is taken");
    const pki::Hash hash = *known;
    auto& layers = draft.layers;
    const auto next = static_cast<std::int64_t>(layers.size());
    if (*index == next && *stamp_index == 0) {
        auto octets = blob_field(event, "groups", blob);
        if (!octets) return octets.error();
        Grouping grouping = draft.grouping;
        auto roots = decode_groups(*octets, hash, grouping);
        if (!roots) return roots.error();
        if (next > 0 && grouping != draft.grouping)
            return Error::environment("its groups are others than those of the chain before");
        draft.grouping = grouping;
        layers.push_back({hash, std::move(*roots), {std::move(*stamp)}});
    } else if (next > 0 && *index == next - 1 && layers.back().hash == hash &&
               *stamp_index <= static_cast<std::int64_t>(layers.back().stamps.size())) {
        // One that is there already was written twice.
        if (*stamp_index < static_cast<std::int64_t>(layers.back().stamps.size())) return {};
        layers.back().stamps.push_back(std::move(*stamp));
    } else {
        return Error::environment("it belongs to a chain that isn't the newest");
    }
    draft.stamped_us = *time;
    draft.until_us = *until;
    return {};
}

}  // namespace

Entry make_seal(const std::string& segment, const Grouping& grouping, const tlog::TreeHead& head,
                const std::string& note, const Kinds& kinds) {
    Entry entry;
    const store::Blob checkpoint(Bytes(note.begin(), note.end()));
    const store::Blob list(encode_kinds(kinds));
    entry.event.kind = seal_made;
    entry.event.subject = segment;
    entry.event.text = "the month's records " + std::to_string(grouping.first) + " to " +
                       std::to_string(grouping.end - 1) + " are sealed: " + std::to_string(head.size) +
                       " records in all, root " + to_hex(head.root);
    entry.event.fields = {{"first", grouping.first},
                          {"size", static_cast<std::int64_t>(head.size)},
                          {"root", Bytes(head.root.begin(), head.root.end())},
                          {"checkpoint", octets_of(checkpoint.id())},
                          {"kinds", octets_of(list.id())}};
    entry.event.blobs = {checkpoint.id(), list.id()};
    entry.blobs = {checkpoint, list};
    return entry;
}

Entry make_stamp(const std::string& segment, std::size_t index, const Grouping& grouping,
                 const std::vector<Bytes>& groups, const Stamped& stamped, pki::Hash hash, View time_stamp) {
    auto entry = stamp_entry(segment, index, 0, stamped, hash, time_stamp,
                             index == 0 ? "time-stamped" : "time-stamped over a new hash tree");
    const store::Blob tree(encode_groups(grouping, groups));
    entry.event.fields["groups"] = octets_of(tree.id());
    if (tree.id() != entry.blobs.front().id()) {
        entry.event.blobs.push_back(tree.id());
        entry.blobs.push_back(tree);
    }
    return entry;
}

Entry make_renewal(const std::string& segment, std::size_t index, std::size_t stamp, const Stamped& stamped,
                   pki::Hash hash, View time_stamp) {
    return stamp_entry(segment, index, stamp, stamped, hash, time_stamp, "its time-stamp is renewed");
}

const Seal* Seals::find(const std::string& segment) const {
    const auto found = std::find_if(good.begin(), good.end(),
                                    [&segment](const Seal& seal) { return seal.segment == segment; });
    return found == good.end() ? nullptr : &*found;
}

Result<Seals> read_seals(store::ArchiveReader& reader, store::RecordNumber end) {
    auto removals = store::Removals::read(reader);
    if (!removals) return removals.error();
    std::map<std::string, Draft> drafts;
    std::map<std::string, std::string> faults;
    const auto add = [&](const store::Found& found) -> Done {
        const auto& event = found.event();
        const auto blob = [&](const store::BlobId& id) { return reader.blob(id, found.segment); };
        const auto old = drafts.find(event.subject);
        if (event.kind == seal_stamped) {
            if (old == drafts.end()) return Error::environment("the month isn't sealed");
            return add_stamp(event, blob, old->second);
        }
        auto made = read_made(found.record, event, blob);
        if (!made) return made.error();
        if (old == drafts.end())
            drafts.emplace(event.subject, std::move(*made));
        else if (old->second.head != made->head || old->second.grouping.first != made->grouping.first)
            return Error::environment("the month is sealed already, over other records");
        return {};
    };
    for (const char* kind : {seal_made, seal_stamped}) {
        store::EventQuery query;
        query.kind = kind;
        const auto searched = reader.events(query, [&](const store::Found& found) {
            const auto& subject = found.event().subject;
            if (found.record.number >= end || faults.contains(subject)) return true;
            // What was sealed is gone, and some of its seal may be, too.
            if (removals->tokens_of(subject)) return true;
            if (const auto done = add(found); !done)
                faults[subject] =
                    "record " + std::to_string(found.record.number) + " (" + kind + "): " + done.error().text;
            return true;
        });
        if (!searched) return searched.error();
    }
    Seals seals;
    seals.removals = std::move(*removals);
    for (auto& [segment, draft] : drafts)
        if (!faults.contains(segment))
            seals.good.push_back({segment, draft.number, draft.head,
                                  Month(draft.grouping, std::move(draft.note), std::move(draft.layers)),
                                  from_unix_us(draft.stamped_us), from_unix_us(draft.until_us),
                                  std::move(draft.kinds)});
    std::sort(seals.good.begin(), seals.good.end(),
              [](const Seal& a, const Seal& b) { return a.head.size < b.head.size; });
    seals.faulty.assign(faults.begin(), faults.end());
    return seals;
}

class TokenReader::Impl {
  public:
    Impl(store::SegmentScan scan, const store::Removals& removals)
        : scan_(std::move(scan)), removals_(removals) {}

    Result<std::vector<Object>> tokens(store::RecordNumber first, store::RecordNumber end) {
        std::vector<Object> found;
        std::vector<store::Record> records;
        std::optional<Error> trouble;
        store::RecordNumber next = first;
        const auto done = scan_.records(first, end - 1, [&](store::RecordNumber number, View der) {
            if (trouble) return;
            if (const auto* removal = store::is_removed(der) ? removals_.of(number) : nullptr;
                removal && number == next) {
                ++next;
                if (removal->gen_times_us)
                    trouble = Error::no("segment " + scan_.facts().name + ": its tokens were removed after " +
                                        to_rfc3339(removal->ends, 0) + ", when they had passed their time");
                return;
            }
            auto record =
                store::decode(der, contexts_, [this](const store::BlobId& id) { return scan_.blob(id); });
            if (number != next++ || !record || record->number != number)
                trouble = Error::environment("segment " + scan_.facts().name + ": record " +
                                             std::to_string(next - 1) + " is missing or damaged");
            else if (std::holds_alternative<store::Issuance>(record->body))
                records.push_back(std::move(*record));
        });
        if (!done) return done.error();
        if (!trouble && next != end)
            trouble = Error::environment("segment " + scan_.facts().name + ": record " +
                                         std::to_string(next) + " is missing or damaged");
        if (trouble) return *trouble;
        for (const store::Record& record : records) {
            const auto& issuance = std::get<store::Issuance>(record.body);
            auto token = store::join(
                issuance.token, [this](const store::BlobId& id) { return blob(id); }, issuance.imprint,
                issuance.serial);
            if (!token)
                return std::move(token).error().in("segment " + scan_.facts().name + ": record " +
                                                   std::to_string(record.number));
            found.push_back({record.number, std::move(*token)});
        }
        return found;
    }

  private:
    /// Few differ: certificates, and stretches that all tokens of a TAC share.
    std::optional<Bytes> blob(const store::BlobId& id) {
        if (const auto known = blobs_.find(id); known != blobs_.end()) return known->second;
        auto read = scan_.blob(id);
        if (!read || !*read || store::blob_id(**read) != id) return std::nullopt;
        if (blobs_.size() >= most_blobs) blobs_.clear();
        blobs_[id] = **read;
        return **read;
    }

    static constexpr std::size_t most_blobs = 256;
    store::SegmentScan scan_;
    const store::Removals& removals_;
    store::Contexts contexts_;
    std::map<store::BlobId, Bytes> blobs_;
};

TokenReader::TokenReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenReader::~TokenReader() = default;

Result<std::unique_ptr<TokenReader>> TokenReader::open(const std::string& dir, const std::string& segment,
                                                       const store::Removals& removals) {
    auto scan = store::SegmentScan::open(dir, segment);
    if (!scan) return scan.error();
    return std::unique_ptr<TokenReader>(new TokenReader(std::make_unique<Impl>(std::move(*scan), removals)));
}

Result<std::vector<Object>> TokenReader::tokens(store::RecordNumber first, store::RecordNumber end) {
    return impl_->tokens(first, end);
}

namespace {

Result<const Seal*> find_seal(const Seals& seals, const std::string& segment) {
    for (const auto& [month, fault] : seals.faulty)
        if (month == segment) return Error::environment("the seal of " + month + " can't be read: " + fault);
    const Seal* seal = seals.find(segment);
    if (seals.removals.tokens_of(segment))
        return Error::no("the tokens of " + segment +
                         " were removed after their time: an evidence record is made before that, or never");
    if (!seal)
        return Error::no(
            "the month " + segment +
            " isn't sealed yet: tsad does that once the month has ended and the next one has a token");
    if (seal->month.layers().empty())
        return Error::no("the month " + segment +
                         " is sealed, but no other organisation has time-stamped that ([seal] tsa of tsad)");
    return seal;
}

}  // namespace

Result<Bytes> evidence_of(const std::string& dir, View serial) {
    auto reader = store::ArchiveReader::open(dir);
    if (!reader) return reader.error();
    std::optional<store::Found> found;
    store::Query query;
    query.serial = Bytes(serial.begin(), serial.end());
    if (auto done = (*reader)->find(query,
                                    [&found](const store::Found& one) {
                                        found = one;
                                        return false;
                                    });
        !done)
        return done.error();
    if (!found) return Error::no("no token has the serial number " + to_hex(serial));
    const auto seals = read_seals(**reader);
    if (!seals) return seals.error();
    const auto seal = find_seal(*seals, found->segment);
    if (!seal) return seal.error();
    const auto& month = (*seal)->month;
    const auto group = month.grouping().group_of(found->record.number);
    auto tokens = TokenReader::open(dir, found->segment, seals->removals);
    if (!tokens) return tokens.error();
    const auto objects =
        (*tokens)->tokens(month.grouping().begin_of(group), month.grouping().begin_of(group + 1));
    if (!objects) return objects.error();
    const auto chains = month.evidence(found->record.number, *objects);
    if (!chains) return chains.error();
    return encode_record(*chains);
}

Result<HeadEvidence> evidence_of_month(const std::string& dir, const std::string& segment) {
    auto reader = store::ArchiveReader::open(dir);
    if (!reader) return reader.error();
    const auto segments = (*reader)->segments();
    if (!segments) return segments.error();
    const auto seals = read_seals(**reader);
    if (!seals) return seals.error();
    const auto seal = find_seal(*seals, segment);
    if (!seal && std::find(segments->begin(), segments->end(), segment) == segments->end() &&
        seal.error().kind == Error::Kind::no)
        return Error::no(dir + " has no month of this name; its newest is " + segments->back());
    if (!seal) return seal.error();
    return HeadEvidence{encode_record((*seal)->month.evidence_of_head()), (*seal)->month.head()};
}

}  // namespace kokuin::evidence
