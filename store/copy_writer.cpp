#include "store/copy_writer.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "store/recover.h"
#include "store/tree_reader.h"

namespace kokuin::store {
namespace {

/// What one transaction takes, so that its memory is bounded.
constexpr std::int64_t most_rows = 1024;
constexpr std::size_t most_octets = std::size_t{4} << 20U;

/// That neither lies inside the other: each would be taken for a part of it.
Done check_apart(const std::string& from, const std::string& to) {
    std::error_code failed;
    const auto a = std::filesystem::weakly_canonical(from, failed);
    const auto b = std::filesystem::weakly_canonical(to, failed);
    if (failed) return Error::environment(to + ": " + failed.message());
    const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    if (ends.first != a.end() && ends.second != b.end()) return {};
    return Error::usage(to + ": lies in the same folder tree as the archive " + from +
                        ": a copy needs a place of its own, best on another disk");
}

/// Nothing but what a copy that was broken off at its very beginning leaves.
Done check_empty(const std::string& dir) {
    DIR* folder = ::opendir(dir.c_str());
    if (!folder) return errno == ENOENT ? Done() : Error::environment(dir + ": " + std::strerror(errno));
    std::string other;
    while (const dirent* entry = ::readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): the stream is ours
        const std::string name = entry->d_name;
        if (name != "." && name != ".." && name != "lock" && name.find(".sqlite.new") == std::string::npos)
            other = name;
    }
    ::closedir(folder);
    if (other.empty()) return {};
    return Error::environment(dir + ": holds no archive, but isn't empty ('" + other +
                              "'): a copy begins in an empty folder; nothing was changed");
}

/// Number after the last record of an archive.
Result<RecordNumber> records_of(const std::string& dir) {
    const auto names = list_segments(dir);
    if (!names) return names.error();
    auto newest = SegmentReader::open(dir, names->back());
    if (!newest) return newest.error();
    return newest->next();
}

Error no_copy(const std::string& from, const std::string& to, const std::string& why) {
    return Error::no(to + " is no copy of " + from + ": " + why +
                     "; nothing was written: find out which of the two is right, and move the other away");
}

}  // namespace

CopyWriter::CopyWriter(std::string from, std::string to, Lock lock)
    : from_(std::move(from)), to_(std::move(to)), lock_(std::move(lock)), mover_(to_) {}

CopyWriter::~CopyWriter() {
    mover_.let_go();
    // Where another folder is in its place by now, closing must not touch that one's log.
    if (segment_ && !check_place()) segment_->leave_log();
}

Result<std::unique_ptr<CopyWriter>> CopyWriter::open(const std::string& from, const std::string& to,
                                                     Begin begin) {
    if (auto done = check_apart(from, to); !done) return std::move(done).error();
    const auto names = list_segments(from);
    if (!names) return names.error();
    if (names->empty())
        return Error::usage(from + ": no archive here (no file named YYYY-MM.sqlite): is its disk mounted?");
    auto there = list_segments(to);
    if (!there) return there.error();
    if (there->empty()) {
        if (begin == Begin::must_be_there)
            return Error::environment(to + ": holds no copy of the archive any more: is its disk mounted? (" +
                                      "To begin anew: tsactl archive backup " + to + ")");
        if (auto done = check_empty(to); !done) return std::move(done).error();
        if (::mkdir(to.c_str(), 0750) != 0 && errno != EEXIST)
            return Error::environment(to + ": can't be made: " + std::strerror(errno) +
                                      "; its parent folder must exist and be writable");
    }
    auto lock = Lock::take(to);
    if (!lock) return lock.error();
    std::unique_ptr<CopyWriter> copy(new CopyWriter(from, to, std::move(*lock)));
    if (auto done = roll_back_broken_off(to); !done) return std::move(done).error();
    there = list_segments(to);
    if (!there) return there.error();
    if (there->empty()) {
        if (auto done = copy->begin_copy(); !done) return std::move(done).error();
        there->push_back(names->front());
    }
    // After a failed write: what the folder shows is only then known to be on the disk.
    if (auto done = sync_folder(to); !done) return std::move(done).error();
    if (auto done = copy->open_segment(there->back()); !done) return std::move(done).error();
    if (auto done = copy->compare(); !done) return std::move(done).error();
    struct stat a {
    }, b{};
    copy->same_disk_ = ::stat(from.c_str(), &a) == 0 && ::stat(to.c_str(), &b) == 0 && a.st_dev == b.st_dev;
    for (auto name = there->begin(); name + 1 != there->end(); ++name) copy->mover_.finish(*name);
    return copy;
}

Done CopyWriter::begin_copy() {
    const auto names = list_segments(from_);
    if (!names) return names.error();
    const auto first = SegmentReader::open(from_, names->front());
    if (!first) return first.error();
    if (first->meta().first != 0)
        return Error::environment(from_ + ": its first segments are missing (" + names->front() +
                                  " begins with record " + std::to_string(first->meta().first) +
                                  "): a copy begins with record 0");
    if (auto done = create_segment(to_, first->meta(), TileEdge()); !done) return done;
    return sync_folder(parent_of(to_));
}

Done CopyWriter::open_segment(const std::string& name) {
    auto opened = SegmentWriter::open(to_, name);
    if (!opened) return opened.error();
    segment_ = std::move(*opened);
    auto source = SegmentReader::open(from_, name);
    if (!source) {
        segment_->leave_log();
        const auto names = list_segments(from_);
        if (names && std::find(names->begin(), names->end(), name) == names->end())
            return no_copy(from_, to_, "only the copy has a segment " + name);
        return source.error();
    }
    source_.emplace(std::move(*source));
    struct stat status {};
    if (::stat(segment_path(to_, name).c_str(), &status) != 0)
        return Error::environment(segment_path(to_, name) + ": " + std::strerror(errno));
    device_ = status.st_dev;
    inode_ = status.st_ino;
    auto newest = segment_->newest_signed();
    if (!newest) return newest.error();
    checkpoint_ = newest->checkpoint;
    cosignature_ = newest->cosignatures;
    return {};
}

Done CopyWriter::compare() {
    const Meta& copy = segment_->meta();
    const Meta& own = source_->meta();
    if (copy.archive != own.archive)
        return no_copy(from_, to_, "it is of the archive " + copy.archive + ", not of " + own.archive);
    if (copy.first != own.first || copy.previous != own.previous || copy.origin != own.origin)
        return no_copy(from_, to_, "their segments " + copy.segment + " begin otherwise");
    const auto count = records_of(from_);
    if (!count) return count.error();
    const std::string size = std::to_string(next());
    if (*count < next())
        return no_copy(from_, to_,
                       "it holds " + size + " records, the archive only " + std::to_string(*count) +
                           ": was an older state of the archive put in its place?");
    if (next() == 0) return {};
    const auto tree = TreeReader::open(from_);
    if (!tree) return tree.error();
    const auto head = (*tree)->head(static_cast<std::uint64_t>(next()));
    if (!head) return head.error();
    if (*head != segment_->edge().tree().head())
        return no_copy(from_, to_, "its " + size + " records aren't the first " + size + " of the archive");
    return {};
}

Done CopyWriter::check_place() const {
    const std::string path = segment_path(to_, segment_->meta().segment);
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return Error::environment(path + ": has gone (" + std::strerror(errno) + "): is its disk mounted?");
    if (status.st_dev != device_ || status.st_ino != inode_)
        return Error::environment(path + ": another file is in its place");
    return {};
}

Result<bool> CopyWriter::advance(RecordNumber limit) {
    if (auto done = check_place(); !done) return std::move(done).error();
    sqlite::Database& database = source_->database();
    // One transaction: what is signed is signed over records that are read with it.
    struct Snapshot {
        sqlite::Database& of;
        ~Snapshot() { (void)of.execute("ROLLBACK"); }
    };
    std::vector<Bytes> ders;
    std::vector<std::optional<Record>> records;  // nothing: it was removed
    std::vector<std::vector<BlobId>> needed;
    std::vector<Blob> blobs;
    std::vector<CheckpointRow> checkpoints;
    std::vector<CosignatureRow> cosignatures;
    {
        if (auto done = database.execute("BEGIN"); !done) return std::move(done).error();
        const Snapshot snapshot{database};
        auto select = database.prepare(
            "SELECT number, der FROM record WHERE number >= ?1 AND number < ?2 ORDER BY number LIMIT ?3");
        if (!select) return select.error();
        select->bind(1, next());
        select->bind(2, limit);
        select->bind(3, most_rows);
        std::size_t octets = 0;
        RecordNumber number = next();
        std::set<BlobId> known;
        while (octets < most_octets) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) break;
            const View der = select->octets(1);
            const std::string where =
                segment_path(from_, source_->meta().segment) + ": record " + std::to_string(number);
            if (is_removed(der) && select->integer(0) == number) {
                const auto listed = was_removed(number);
                if (!listed) return listed.error();
                if (!*listed)
                    return Error::environment(where +
                                              " isn't there, and wasn't removed either: the archive is "
                                              "damaged, restore a copy");
                octets += der.size();
                ders.emplace_back(der.begin(), der.end());
                records.emplace_back();
                needed.emplace_back();
                ++number;
                continue;
            }
            auto bare = decode_bare(der);
            if (!bare) return std::move(bare).error().in(where);
            const auto* own = std::get_if<OwnIssuance>(&bare->body);
            const auto context = own ? std::optional(own->context) : std::nullopt;
            auto record =
                complete(std::move(*bare), contexts_, [this](const BlobId& id) { return source_->blob(id); });
            if (!record) return std::move(record).error().in(where);
            if (select->integer(0) != number || record->number != number)
                return Error::environment(where + " is missing: the archive is damaged, restore a copy");
            auto names = std::visit([](const auto& body) { return blobs_of(body); }, record->body);
            if (context) names.push_back(*context);  // last, as the archive does
            for (const BlobId& id : names) {
                if (segment_->has_blob(id) || !known.insert(id).second) continue;
                auto content = source_->blob(id);
                if (!content) return content.error();
                if (!*content)
                    return Error::environment(where + " names the blob " + to_hex(id) +
                                              ", which isn't there: the archive is damaged, restore a copy");
                octets += (*content)->size();
                blobs.emplace_back(std::move(**content));
            }
            octets += der.size();
            ders.emplace_back(der.begin(), der.end());
            records.emplace_back(std::move(*record));
            needed.push_back(std::move(names));
            ++number;
        }
        auto heads = database.prepare(
            "SELECT size, note FROM checkpoint WHERE size > ?1 AND size <= ?2 ORDER BY size");
        if (!heads) return heads.error();
        heads->bind(1, checkpoint_);
        heads->bind(2, number);
        while (true) {
            const auto row = heads->step();
            if (!row) return row.error();
            if (!*row) break;
            checkpoints.push_back({static_cast<std::uint64_t>(heads->integer(0)), heads->text(1)});
        }
        const std::int64_t newest =
            checkpoints.empty() ? checkpoint_ : static_cast<std::int64_t>(checkpoints.back().size);
        // Rows are never taken away, so that their rowids count them.
        auto lines = database.prepare(
            "SELECT size, witness, line FROM cosignature WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
        if (!lines) return lines.error();
        lines->bind(1, cosignature_);
        lines->bind(2, most_rows);
        while (true) {
            const auto row = lines->step();
            if (!row) return row.error();
            // One whose checkpoint comes later waits, and those after it, so that they keep their order.
            if (!*row || lines->integer(0) > newest) break;
            cosignatures.push_back(
                {static_cast<std::uint64_t>(lines->integer(0)), lines->text(1), lines->text(2)});
        }
    }
    if (records.empty() && checkpoints.empty() && cosignatures.empty()) {
        if (limit <= next()) return false;
        // That record wasn't here when it was known already to be somewhere: this segment is finished.
        if (auto done = next_segment(); !done) return std::move(done).error();
        return true;
    }

    std::vector<IssuanceKeys> keys(records.size());
    std::vector<Row> rows(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        Row& row = rows[i];
        row.der = std::move(ders[i]);
        row.blobs = &blobs;
        row.needed = &needed[i];
        if (!records[i]) {
            row.keys = Gone{};
            continue;
        }
        if (const auto* issuance = std::get_if<Issuance>(&records[i]->body)) {
            keys[i] = keys_of(*issuance);
            row.keys = &keys[i];
        } else {
            const auto& event = std::get<Event>(records[i]->body);
            row.keys = EventKeys{event.kind, event.subject};
        }
    }
    if (auto done = segment_->commit(rows, checkpoints, cosignatures); !done) return std::move(done).error();
    if (!checkpoints.empty()) checkpoint_ = static_cast<std::int64_t>(checkpoints.back().size);
    cosignature_ += static_cast<std::int64_t>(cosignatures.size());
    mover_.committed(segment_->meta().segment, segment_->log_frames());
    if (mover_.wants_pause()) {
        if (auto done = segment_->catch_up(); !done) return std::move(done).error();
        mover_.caught_up();
    }
    return next() < limit || cosignatures.size() == most_rows;
}

/// True if an event of the archive says so.
Result<bool> CopyWriter::was_removed(RecordNumber number) {
    if (!removals_ || !removals_->of(number)) {
        // It may have been written since.
        const auto reader = ArchiveReader::open(from_);
        if (!reader) return reader.error();
        auto removals = Removals::read(**reader);
        if (!removals) return removals.error();
        removals_ = std::move(*removals);
    }
    const auto event = removals_->said_by(number);
    if (event) needed_ = std::max(needed_, *event + 1);
    return event.has_value();
}

Done CopyWriter::next_segment() {
    const std::string old = segment_->meta().segment;
    const auto names = list_segments(from_);
    if (!names) return names.error();
    const auto later = std::upper_bound(names->begin(), names->end(), old);
    if (later == names->end())
        return Error::environment(from_ + ": record " + std::to_string(next()) +
                                  " isn't there: the archive is damaged, restore a copy");
    Meta meta;
    {
        const auto following = SegmentReader::open(from_, *later);
        if (!following) return following.error();
        meta = following->meta();
    }
    if (meta.archive != segment_->meta().archive || meta.previous != old || meta.first != next())
        return Error::environment(segment_path(from_, *later) + ": doesn't go on where " + old +
                                  " ends: the archive is damaged, restore a copy");
    const TileEdge edge = segment_->edge();
    const bool restored = meta.format != segment_->meta().format;
    segment_->leave_log();
    segment_.reset();
    source_.reset();
    mover_.let_go();
    // Where the archive was restored from this very copy, which doesn't know of it yet.
    if (restored)
        if (auto done = mark_restored(to_); !done) return done;
    if (auto done = create_segment(to_, meta, edge); !done) return done;
    if (auto done = open_segment(meta.segment); !done) return done;
    mover_.finish(old);
    return {};
}

}  // namespace kokuin::store
