#include "store/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "store/segment.h"
#include "store/segment_reader.h"

namespace kokuin::store {
namespace {

bool matches(const Query& query, const Record& record, const Issuance& issuance) {
    if (record.number < query.first) return false;
    if (query.serial && without_zeros(issuance.serial) != without_zeros(*query.serial)) return false;
    if (query.imprint && issuance.imprint != *query.imprint) return false;
    if (query.from && issuance.gen_time_us < to_unix_us(*query.from)) return false;
    if (query.to && issuance.gen_time_us >= to_unix_us(*query.to)) return false;
    if (query.policy && issuance.policy != *query.policy) return false;
    if (query.tsu && issuance.tsu != *query.tsu) return false;
    if (query.tac && (!issuance.tac || without_zeros(issuance.tac->serial) != without_zeros(*query.tac)))
        return false;
    return !query.certificates || query.certificates->contains(issuance.certificate);
}

bool matches(const EventQuery& query, const Record& record, const Event& event) {
    if (query.kind && event.kind != *query.kind) return false;
    if (query.subject && event.subject != *query.subject) return false;
    if (query.from && record.at_us < to_unix_us(*query.from)) return false;
    return !query.to || record.at_us < to_unix_us(*query.to);
}

/// Looks where the most telling condition points.
Result<bool> search(SegmentReader& segment, const Query& query, const SegmentReader::Visit& visit) {
    if (query.serial) return segment.by_serial(*query.serial, visit);
    if (query.imprint) return segment.by_imprint(*query.imprint, visit);
    if (!query.from && !query.to)
        return segment.by_number(query.first, std::numeric_limits<RecordNumber>::max(), visit);
    // Numbers follow time but for the odd neighbour, so the range holds little else; each record is judged
    // anyway.
    const auto range =
        segment.range(query.from ? to_unix_us(*query.from) : std::numeric_limits<std::int64_t>::min(),
                      query.to ? to_unix_us(*query.to) : std::numeric_limits<std::int64_t>::max());
    if (!range) return range.error();
    if (!*range) return true;
    return segment.by_number(std::max(query.first, (*range)->first), (*range)->last, visit);
}

}  // namespace

class ArchiveReader::Impl {
  public:
    std::string dir;
    std::string id;
    std::string origin;

    /// Calls `use(segment)` for each segment until it returns false or an error; `before_all` is the name of
    /// one that comes first. A connection lasts no longer than this, so that a finished segment can lose its
    /// log.
    template <typename Use>
    Done each(bool newest_first, Use use, const std::string& before_all = "") {
        auto names = list_segments(dir);
        if (!names) return names.error();
        if (newest_first) std::reverse(names->begin(), names->end());
        if (const auto first = std::find(names->begin(), names->end(), before_all); first != names->end())
            std::rotate(names->begin(), first, first + 1);
        for (const std::string& name : *names) {
            auto segment = SegmentReader::open(dir, name);
            if (!segment) return segment.error();
            if (segment->meta().archive != id)
                return Error::environment(segment_path(dir, name) +
                                          ": belongs to another archive: move it out of the folder");
            const Result<bool> go_on = use(*segment, name);
            if (!go_on) return go_on.error();
            if (!*go_on) break;
        }
        return {};
    }

    /// `witness`: nothing: any, and then all lines.
    Result<std::optional<StoredCheckpoint>> latest_witnessed(const std::optional<std::string>& witness) {
        std::optional<StoredCheckpoint> found;
        const auto done = each(true, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
            auto newest = segment.latest_witnessed(witness);
            if (!newest) return newest.error();
            if (*newest) found = StoredCheckpoint{(*newest)->size, std::move((*newest)->note), name};
            return !found;
        });
        if (!done) return done.error();
        return found;
    }
};

ArchiveReader::ArchiveReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveReader::~ArchiveReader() = default;

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::open(const std::string& dir) {
    const auto names = list_segments(dir);
    if (!names) return names.error();
    if (names->empty())
        return Error::usage(
            dir + ": no archive here (no file named YYYY-MM.sqlite): give the folder that holds one");
    const auto newest = SegmentReader::open(dir, names->back());
    if (!newest) return newest.error();
    auto impl = std::make_unique<Impl>();
    impl->dir = dir;
    impl->id = newest->meta().archive;
    impl->origin = newest->meta().origin;
    return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(impl)));
}

Done ArchiveReader::find(const Query& query, const Visitor& visit) {
    return impl_->each(false, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
        if (query.first > segment.meta().first) {
            // All of it may lie before what is asked for.
            const auto next = segment.next();
            if (!next) return next.error();
            if (*next <= query.first) return true;
        }
        return search(segment, query, [&](const Record& record) {
            const auto* issuance = std::get_if<Issuance>(&record.body);
            return !issuance || !matches(query, record, *issuance) || visit({record, name});
        });
    });
}

Done ArchiveReader::events(const EventQuery& query, const Visitor& visit) {
    return impl_->each(false, [&](SegmentReader& segment, const std::string& name) {
        return segment.events(query.kind, query.first, [&](const Record& record) {
            const auto* event = std::get_if<Event>(&record.body);
            return !event || !matches(query, record, *event) || visit({record, name});
        });
    });
}

Result<std::optional<Found>> ArchiveReader::latest_event(const std::string& kind,
                                                         const std::string& subject) {
    std::optional<Found> found;
    const auto done = impl_->each(true, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
        const auto number = segment.latest_event(kind, subject);
        if (!number) return number.error();
        if (!*number) return true;
        const auto record = segment.record(**number);
        if (!record) return record.error();
        const auto* event = *record ? std::get_if<Event>(&(*record)->body) : nullptr;
        if (!event || event->kind != kind || event->subject != subject)
            return Error::environment("segment " + name + ": the index and record " +
                                      std::to_string(**number) +
                                      " disagree: the archive is damaged, restore a copy");
        found = Found{**record, name};
        return false;
    });
    if (!done) return done.error();
    return found;
}

Result<Shown> ArchiveReader::show(View serial) {
    std::optional<Shown> shown;
    const Bytes wanted = without_zeros(serial);
    const auto done = impl_->each(true, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
        std::optional<Record> record;
        const auto searched = segment.by_serial(wanted, [&](const Record& candidate) {
            const auto* issuance = std::get_if<Issuance>(&candidate.body);
            if (issuance && without_zeros(issuance->serial) == wanted) record = candidate;
            return !record;
        });
        if (!searched) return searched.error();
        if (!record) return true;

        // Segments stand alone: its blobs are here.
        const auto fetch = [&](const BlobId& id) -> Result<Bytes> {
            auto content = segment.blob(id);
            if (!content) return content.error();
            if (!*content)
                return Error::environment("segment " + name + " lacks the blob " + to_hex(id) +
                                          ": the archive is damaged, restore a copy");
            return std::move(**content);
        };
        const auto& issuance = std::get<Issuance>(record->body);
        std::optional<Error> trouble;
        auto token = join(
            issuance.token,
            [&](const BlobId& id) -> std::optional<Bytes> {
                auto content = fetch(id);
                if (content) return std::move(*content);
                if (!trouble) trouble = content.error();
                return std::nullopt;
            },
            issuance.imprint, issuance.serial);
        if (trouble) return *trouble;
        if (!token) return token.error();
        auto certificate = fetch(issuance.certificate);
        if (!certificate) return certificate.error();
        shown = Shown{{*record, name}, std::move(*token), std::move(*certificate), std::nullopt};
        if (issuance.tac) {
            auto tac = fetch(issuance.tac->blob);
            if (!tac) return tac.error();
            shown->tac = std::move(*tac);
        }
        if (issuance.clock) {
            auto basis = fetch(issuance.clock->basis);
            if (!basis) return basis.error();
            shown->basis = std::move(*basis);
        }
        return false;
    });
    if (!done) return done.error();
    if (!shown) return Error::no("no token with the serial number " + to_hex(wanted) + " in " + impl_->dir);
    return std::move(*shown);
}

Result<Found> ArchiveReader::record(RecordNumber number) {
    std::optional<Found> found;
    const auto done = impl_->each(true, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
        if (segment.meta().first > number) return true;
        auto record = segment.record(number);
        if (!record) return record.error();
        if (*record) found = Found{std::move(**record), name};
        return false;
    });
    if (!done) return done.error();
    if (!found) return Error::no("no record " + std::to_string(number) + " in " + impl_->dir);
    return std::move(*found);
}

Result<Bytes> ArchiveReader::blob(const BlobId& id, const std::string& segment) {
    std::optional<Bytes> found;
    const auto look = [&](SegmentReader& here, const std::string&) -> Result<bool> {
        auto content = here.blob(id);
        if (!content) return content.error();
        if (*content) found = std::move(**content);
        return !found;
    };
    const auto done = impl_->each(true, look, segment);
    if (!done) return done.error();
    if (!found) return Error::no("no blob " + to_hex(id) + " in " + impl_->dir);
    return std::move(*found);
}

Result<std::optional<StoredCheckpoint>> ArchiveReader::latest_checkpoint() const {
    std::optional<StoredCheckpoint> found;
    const auto done = impl_->each(true, [&](SegmentReader& segment, const std::string& name) -> Result<bool> {
        auto newest = segment.latest_checkpoint();
        if (!newest) return newest.error();
        if (*newest) found = StoredCheckpoint{(*newest)->size, std::move((*newest)->note), name};
        return !found;
    });
    if (!done) return done.error();
    return found;
}

Result<std::optional<StoredCheckpoint>> ArchiveReader::latest_witnessed() const {
    return impl_->latest_witnessed(std::nullopt);
}

Result<std::optional<StoredCheckpoint>> ArchiveReader::latest_witnessed(const std::string& witness) const {
    return impl_->latest_witnessed(witness);
}

const std::string& ArchiveReader::origin() const {
    return impl_->origin;
}

Result<std::vector<std::string>> ArchiveReader::segments() const {
    return list_segments(impl_->dir);
}

const std::string& ArchiveReader::id() const {
    return impl_->id;
}

}  // namespace kokuin::store
