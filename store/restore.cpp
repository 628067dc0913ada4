#include "store/restore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "store/backup.h"
#include "store/log_keys.h"
#include "store/lost.h"
#include "store/segment_writer.h"
#include "store/tree_reader.h"

namespace kokuin::store {
namespace {

namespace fs = std::filesystem;

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

/// Error (usage): there is something in the archive's place, or no folder can be moved there.
Done check_free(const std::string& place) {
    std::error_code failed;
    const auto status = fs::symlink_status(place, failed);
    if (status.type() == fs::file_type::not_found) return {};
    struct stat own {
    }, above{};
    if (::stat(place.c_str(), &own) == 0 && ::stat(parent_of(place).c_str(), &above) == 0 &&
        own.st_dev != above.st_dev)
        return Error::usage(place +
                            ": is a mount point, and a restored archive is moved into its place as a whole: "
                            "name a folder on that disk as [archive] dir");
    if (!failed && fs::is_directory(status) && fs::is_empty(place, failed) && !failed) return {};
    if (failed) return Error::environment(place + ": " + failed.message());
    return Error::usage(place +
                        ": isn't empty, and a restore changes nothing that is there: move it away (and give "
                        "its new place as --damaged, so that what is left of it is read)");
}

std::string named(std::uint64_t size) {
    return std::to_string(size) + (size == 1 ? " record" : " records");
}

}  // namespace

std::string lost_lines(const std::vector<LostRecord>& lost) {
    std::string lines;
    for (const LostRecord& one : lost) {
        nlohmann::ordered_json json{{"number", one.number}};
        if (!one.serial.empty()) json["serial"] = one.serial;
        if (one.gen_time_us) json["gen_time"] = to_rfc3339(from_unix_us(*one.gen_time_us));
        if (!one.tsu.empty()) json["tsu"] = one.tsu;
        if (!one.event.empty()) json["event"] = one.event;
        lines += json_text(json) + "\n";
    }
    return lines;
}

Restore::Restore(RestorePlan plan) : plan_(std::move(plan)), dir_(plan_.to + ".restoring") {}

Restore::~Restore() {
    std::error_code failed;
    if (made_) fs::remove_all(dir_, failed);
}

Result<std::unique_ptr<Restore>> Restore::begin(const RestorePlan& plan) {
    auto own = plan;
    own.to = without_slash(own.to);
    std::unique_ptr<Restore> restore(new Restore(std::move(own)));
    if (auto done = restore->copy(); !done) return std::move(done).error();
    if (auto done = restore->judge(); !done) return std::move(done).error();
    if (auto done = restore->list_lost(); !done) return std::move(done).error();
    return restore;
}

Done Restore::copy() {
    if (auto done = check_free(plan_.to); !done) return done;
    if (::mkdir(dir_.c_str(), 0750) != 0) {
        if (errno == EEXIST)
            return Error::usage(dir_ +
                                ": is there already: a restore runs, or one was broken off; if none "
                                "runs, remove that folder");
        return Error::environment(dir_ + ": can't be made: " + std::strerror(errno));
    }
    made_ = true;
    auto copied = backup(plan_.from, dir_);
    if (!copied) return std::move(copied).error();
    found_.head.size = static_cast<std::uint64_t>(copied->records);
    if (copied->checkpoint) found_.covered = copied->checkpoint->size;
    return {};
}

/// The tiles in dir_ were made out of the records just now, so that its roots are those of the records.
Done Restore::judge() {
    const auto reader = ArchiveReader::open(dir_);
    if (!reader) return reader.error();
    found_.archive = (*reader)->id();
    found_.from_origin = (*reader)->origin();
    const auto tree = TreeReader::open(dir_);
    if (!tree) return tree.error();
    const auto head = (*tree)->head(found_.head.size);
    if (!head) return head.error();
    found_.head = *head;
    const auto recorded = recorded_keys(**reader);
    if (!recorded) return recorded.error();
    auto keys = *recorded;
    if (plan_.log_key) keys.push_back(*plan_.log_key);

    const auto newest = (*reader)->latest_checkpoint();
    if (!newest) return newest.error();
    if (*newest) {
        const std::string name = plan_.from + ": its checkpoint over " + named((*newest)->size);
        const auto note = tlog::Note::parse((*newest)->note);
        const auto checkpoint = note ? signed_by(*note, keys) : Result<tlog::Checkpoint>(note.error());
        if (!checkpoint) return Error::no(name + ": " + checkpoint.error().text);
        const auto there = (*tree)->head(checkpoint->head.size);
        if (!there) return Error::no(name + " is over more than it holds");
        if (*there != checkpoint->head)
            return Error::no(name +
                             " was signed over other records than it holds: this copy was changed, or "
                             "is damaged; take another one");
    }

    const auto cosigned = (*reader)->latest_witnessed();
    if (!cosigned) return cosigned.error();
    const std::uint64_t known = *cosigned ? (*cosigned)->size : 0;
    if (!plan_.witnessed) {
        if (known > 0)
            return Error::no(
                plan_.from + ": a witness has cosigned its checkpoint over " + named(known) +
                ": ask the witness for the newest one that it has seen, and give that (--witnessed)");
        return {};
    }
    const auto seen = signed_by(*plan_.witnessed, plan_.log_key ? std::vector{*plan_.log_key} : *recorded);
    if (!seen) return Error::no("the witnessed checkpoint: " + seen.error().text);
    const std::string name = "the witnessed checkpoint over " + named(seen->head.size);
    if (seen->head.size < known)
        return Error::no(name + " isn't the newest: a witness has cosigned one over " +
                         std::to_string(known) + ", which is in " + plan_.from + "; ask the witness again");
    found_.witnessed = seen->head;
    if (seen->head.size <= found_.head.size) {
        const auto there = (*tree)->head(seen->head.size);
        if (!there) return there.error();
        if (*there != seen->head)
            return Error::no(name + " is over other records than those in " + plan_.from +
                             ": this copy has another history than what was seen outside; take another one");
        return {};
    }
    if (seen->origin != found_.from_origin)
        return Error::no(name + " is of the log " + seen->origin + ", but the newest in " + plan_.from +
                         " is " + found_.from_origin);
    // What is left of the archive may prove that one goes on from the other; nothing else can.
    if (plan_.damaged.empty()) return {};
    const auto left = TreeReader::open(plan_.damaged);
    if (!left) return {};
    const auto theirs = (*left)->head(seen->head.size);
    const auto ours = (*left)->head(found_.head.size);
    if (theirs && ours && *theirs == seen->head && *ours != found_.head)
        return Error::no(name + " doesn't go on from the records in " + plan_.from + ", by what is left in " +
                         plan_.damaged + ": this copy has another history; take another one");
    return {};
}

Done Restore::list_lost() {
    const auto from = static_cast<RecordNumber>(found_.head.size);
    const auto to = static_cast<RecordNumber>(found_.witnessed ? found_.witnessed->size : 0);
    if (!plan_.damaged.empty()) {
        auto left = read_lost(plan_.damaged, found_.archive, from);
        if (!left) return left.error();
        found_.lost = std::move(left->records);
        found_.troubles = std::move(left->troubles);
    }
    add_unread(found_.lost, from, to);
    for (const LostRecord& one : found_.lost)
        ++(!one.serial.empty()  ? found_.lost_tokens
           : !one.event.empty() ? found_.lost_events
                                : found_.lost_unknown);
    return {};
}

Result<std::string> Restore::finish(WallTime at, Event restored, const std::vector<Told>& others) {
    const auto names = list_segments(dir_);
    if (!names) return names.error();
    const std::string old = names->back();
    Meta meta;
    TileEdge edge;
    {
        const auto segment = SegmentWriter::open(dir_, old);
        if (!segment) return segment.error();
        meta = (*segment)->meta();
        meta.first = (*segment)->next();
        edge = (*segment)->edge();
    }
    if (const auto done = finish_segment(dir_, old); !done) return done.error();
    const std::string month = month_of(to_unix_us(at));
    auto name = month > old ? Result(month) : name_after(old);
    if (!name) return name;
    meta.segment = *name;
    meta.previous = old;
    meta.origin = meta.origin.substr(0, meta.origin.rfind('/')) + "/" + to_hex(random_octets(16));
    meta.format = restored_format;
    if (auto done = mark_restored(dir_); !done) return std::move(done).error();
    if (auto done = create_segment(dir_, meta, edge); !done) return std::move(done).error();

    std::vector<Told> all{{std::move(restored), {}}};
    Event& first = all.front().event;
    first.kind = "archive.restored";
    first.subject = meta.origin;
    first.fields["from_origin"] = found_.from_origin;
    first.fields["size"] = static_cast<std::int64_t>(found_.head.size);
    first.fields["root"] = Bytes(found_.head.root.begin(), found_.head.root.end());
    if (const auto& seen = found_.witnessed) {
        first.fields["witnessed_size"] = static_cast<std::int64_t>(seen->size);
        first.fields["witnessed_root"] = Bytes(seen->root.begin(), seen->root.end());
    }
    first.fields["lost"] = static_cast<std::int64_t>(found_.lost.size());
    first.fields["lost_tokens"] = static_cast<std::int64_t>(found_.lost_tokens);
    if (!found_.lost.empty()) {
        const std::string lines = lost_lines(found_.lost);
        all.front().blobs.emplace_back(Bytes(lines.begin(), lines.end()));
        first.blobs.push_back(all.front().blobs.front().id());
    }
    all.insert(all.end(), others.begin(), others.end());

    std::vector<Row> rows;
    std::vector<std::vector<BlobId>> needed;
    needed.reserve(all.size());
    for (const Told& one : all) {
        Record record{meta.first + static_cast<RecordNumber>(rows.size()), to_unix_us(at), Salt{}, one.event};
        const Bytes random = random_octets(record.salt->size());
        std::copy(random.begin(), random.end(), record.salt->begin());
        auto der = encode(record);
        if (!der) return std::move(der).error();
        needed.push_back(blobs_of(one.event));
        Row row;
        row.der = std::move(*der);
        row.keys = EventKeys{one.event.kind, one.event.subject};
        row.blobs = &one.blobs;
        row.needed = &needed.back();
        rows.push_back(std::move(row));
    }
    {
        const auto segment = SegmentWriter::open(dir_, meta.segment);
        if (!segment) return segment.error();
        if (auto done = (*segment)->commit(rows, {}); !done) return std::move(done).error();
    }
    if (auto done = sync_folder(dir_); !done) return std::move(done).error();
    // Takes an empty folder's place; one that isn't empty any more makes it fail.
    if (::rename(dir_.c_str(), plan_.to.c_str()) != 0)
        return Error::environment(plan_.to + ": can't be put in place: " + std::strerror(errno));
    made_ = false;
    if (auto done = sync_folder(parent_of(plan_.to)); !done) return std::move(done).error();
    return meta.origin;
}

}  // namespace kokuin::store
