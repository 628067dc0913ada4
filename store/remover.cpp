#include "store/remover.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/sqlite/sqlite.h"
#include "store/context.h"
#include "store/log_keys.h"
#include "store/recover.h"
#include "store/removal.h"
#include "store/retention.h"
#include "store/segment.h"
#include "store/segment_reader.h"
#include "store/segment_writer.h"
#include "store/tiles.h"

namespace kokuin::store {
namespace {

/// Rows between two looks at whether to stop.
constexpr std::int64_t rows_between_looks = 1024;

Error stopped(const std::string& path) {
    return Error::no(path + ": its removal was broken off, and will be tried again");
}

/// What is to go of one segment.
struct Due {
    struct Part {
        Run run;
        WallTime at;  ///< of the event that says so
    };
    std::vector<Part> parts;
    RecordNumber event = 0;  ///< the last one that says so
};

std::map<std::string, Due> due_in(const Removals& removals, WallTime now, std::uint64_t covered) {
    std::map<std::string, Due> due;
    for (const Expiry& expiry : removals.all()) {
        if (static_cast<std::uint64_t>(expiry.number) >= covered) break;
        for (const Removal& removal : expiry.removals) {
            auto& one = due[removal.segment];
            for (const Run& run : removal.runs) one.parts.push_back({run, std::min(expiry.at, now)});
            one.event = expiry.number;
        }
    }
    return due;
}

/// The hashes of leaves as the tiles have them, tile by tile.
class LeafTiles {
  public:
    /// `names`: of all segments.
    LeafTiles(const std::string& dir, const std::vector<std::string>& names) : dir_(dir), names_(names) {}

    Result<tlog::Hash> leaf(const std::string& segment, RecordNumber number) {
        const auto position = static_cast<std::uint64_t>(number) / tile_width;
        const auto index = static_cast<std::uint64_t>(number) % tile_width;
        // It stands where it became full: in this segment, or in one that came later.
        if (position != position_ || width_of(tile_) <= index) {
            for (auto name = std::find(names_.begin(), names_.end(), segment); name != names_.end(); ++name) {
                auto reader = SegmentReader::open(dir_, *name);
                auto tile = reader ? reader->tile(0, position) : Result<Bytes>(reader.error());
                if (!tile) return tile.error();
                tile_ = std::move(*tile);
                if (width_of(tile_) > index) break;
            }
            position_ = position;
        }
        if (width_of(tile_) <= index)
            return Error::environment(dir_ + ": the tile of record " + std::to_string(number) +
                                      " is missing: the archive is damaged, restore a copy");
        return hash_in(tile_, index);
    }

  private:
    const std::string& dir_;
    const std::vector<std::string>& names_;
    std::optional<std::uint64_t> position_;
    Bytes tile_;
};

/// One segment, by a connection of its own.
class SegmentRemover {
  public:
    SegmentRemover(sqlite::Database& database, ArchiveReader& reader, std::string path,
                   const std::function<bool()>& stop)
        : database_(database), reader_(reader), path_(std::move(path)), stop_(stop) {}

    /// In one transaction.
    Result<std::int64_t> remove(const std::string& segment, const Due& due, LeafTiles& tiles) {
        if (auto done = prepare(); !done) return std::move(done).error();
        if (auto done = database_.execute("BEGIN IMMEDIATE"); !done) return busy_or(std::move(done).error());
        auto removed = remove_all(segment, due, tiles);
        if (!removed) {
            (void)database_.execute("ROLLBACK");
            return removed;
        }
        if (auto done = database_.execute("COMMIT"); !done) {
            auto error = busy_or(std::move(done).error());
            (void)database_.execute("ROLLBACK");
            return error;
        }
        return removed;
    }

    Error busy_or(Error error) const {
        if (!database_.was_busy()) return error;
        return Error::no(path_ + ": is being read; its removal will be tried again");
    }

  private:
    Done prepare() {
        const std::pair<sqlite::Statement*, std::string_view> statements[] = {
            {&select_,
             "SELECT number, der FROM record WHERE number >= ?1 AND number <= ?2 ORDER BY number "
             "LIMIT ?3"},
            {&shrink_, "UPDATE record SET der = ?2 WHERE number = ?1"},
            {&drop_serial_, "DELETE FROM by_serial WHERE serial = ?1 AND number = ?2"},
            {&drop_time_, "DELETE FROM by_time WHERE gen_time = ?1 AND number = ?2"},
            {&drop_imprint_, "DELETE FROM by_imprint WHERE imprint = ?1 AND number = ?2"},
            {&drop_event_, "DELETE FROM event WHERE number = ?1"},
            {&drop_blob_, "DELETE FROM blob WHERE id = ?1"},
            {&mark_, "INSERT OR REPLACE INTO meta (key, value) VALUES ('expired', ?1)"}};
        for (const auto& [target, sql] : statements) {
            auto statement = database_.prepare(sql);
            if (!statement) return statement.error();
            *target = std::move(*statement);
        }
        return {};
    }

    Result<std::int64_t> remove_all(const std::string& segment, const Due& due, LeafTiles& tiles) {
        std::int64_t removed = 0;
        for (const auto& [run, at] : due.parts) {
            RecordNumber next = run.first;
            const auto look = [&, at = at](RecordNumber number, const Bytes& stored) -> Done {
                if (number != next++)
                    return Error::environment(path_ + ": record " + std::to_string(next - 1) +
                                              " is missing: the archive is damaged, restore a copy");
                if (is_removed(stored)) return {};
                ++removed;
                return remove_one(segment, number, stored, at, tiles);
            };
            const auto done = each(run.first, run.last, look);
            if (!done) return done.error();
            if (next != run.last + 1)
                return Error::environment(path_ + ": record " + std::to_string(next) +
                                          " is missing: the archive is damaged, restore a copy");
        }
        if (removed > 0)
            if (auto done = drop_unnamed(); !done) return std::move(done).error();
        mark_.bind(1, due.event);
        if (auto done = mark_.run(); !done) return std::move(done).error();
        return removed;
    }

    Done remove_one(const std::string& segment, RecordNumber number, const Bytes& stored, WallTime at,
                    LeafTiles& tiles) {
        const auto leaf = leaf_of(stored);
        const auto said = tiles.leaf(segment, number);
        if (!said) return said.error();
        const auto record = decode_bare(stored);
        if (*said != leaf || !record || record->number != number)
            return Error::environment(path_ + ": record " + std::to_string(number) +
                                      " isn't the one that was signed, so that nothing of this segment is "
                                      "removed; see what is wrong with: tsaudit verify");
        const auto until = kept_at_least_until(*record, segment);
        if (!until || *until > at)
            return Error::environment(
                path_ + ": record " + std::to_string(number) + " is to be removed (" + archive_expired +
                "), and is to be kept " +
                (until ? "until " + to_rfc3339(*until, 0) : "as long as the archive") +
                ", so that nothing of this segment is removed: find out who wrote that, "
                "and whether the clock is right");
        if (const auto* event = std::get_if<Event>(&record->body);
            event && retention_of(event->kind).beyond == Beyond::in_force) {
            const auto newest = reader_.latest_event(event->kind, event->subject);
            if (!newest) return newest.error();
            if (!*newest || (*newest)->record.number <= number)
                return Error::environment(path_ + ": record " + std::to_string(number) +
                                          " is to be removed (" + archive_expired + "), and is in force (" +
                                          event->kind + "), so that nothing of this segment is removed");
        }
        shrink_.bind(1, number);
        shrink_.bind(2, View(leaf));
        if (auto done = shrink_.run(); !done) return done;
        if (std::holds_alternative<Event>(record->body)) {
            drop_event_.bind(1, number);
            return drop_event_.run();
        }
        return run_on_index(keys_of(std::get<OwnIssuance>(record->body)), number, drop_serial_, drop_time_,
                            drop_imprint_);
    }

    /// Blobs that no record names any more.
    Done drop_unnamed() {
        std::set<BlobId> named;
        Contexts contexts;
        const auto all =
            each(0, std::numeric_limits<RecordNumber>::max(),
                 [&](RecordNumber number, const Bytes& stored) -> Done {
                     if (is_removed(stored)) return {};
                     const std::string where = path_ + ": record " + std::to_string(number);
                     auto bare = decode_bare(stored);
                     if (!bare) return std::move(bare).error().in(where);
                     if (const auto* own = std::get_if<OwnIssuance>(&bare->body)) named.insert(own->context);
                     auto record = complete(std::move(*bare), contexts,
                                            [this](const BlobId& id) { return read_blob(database_, id); });
                     if (!record) return std::move(record).error().in(where);
                     for (const BlobId& id :
                          std::visit([](const auto& body) { return blobs_of(body); }, record->body))
                         named.insert(id);
                     return {};
                 });
        if (!all) return all;
        std::vector<Bytes> unnamed;
        auto ids = database_.prepare("SELECT id FROM blob");
        if (!ids) return ids.error();
        while (true) {
            const auto row = ids->step();
            if (!row) return row.error();
            if (!*row) break;
            const View id = ids->octets(0);
            BlobId name{};
            if (id.size() == name.size()) std::copy(id.begin(), id.end(), name.begin());
            if (id.size() == name.size() && !named.contains(name)) unnamed.emplace_back(id.begin(), id.end());
        }
        for (const Bytes& id : unnamed) {
            drop_blob_.bind(1, View(id));
            if (auto done = drop_blob_.run(); !done) return done;
        }
        return {};
    }

    /// What stands in the table of records, some rows at a time, so that `visit` may change them.
    Done each(RecordNumber first, RecordNumber last,
              const std::function<Done(RecordNumber, const Bytes& stored)>& visit) {
        std::vector<std::pair<RecordNumber, Bytes>> rows;
        do {
            if (stop_()) return stopped(path_);
            rows.clear();
            select_.bind(1, first);
            select_.bind(2, last);
            select_.bind(3, rows_between_looks);
            while (true) {
                const auto row = select_.step();
                if (!row) return row.error();
                if (!*row) break;
                const View stored = select_.octets(1);
                rows.emplace_back(select_.integer(0), Bytes(stored.begin(), stored.end()));
            }
            select_.reset();
            for (const auto& [number, stored] : rows)
                if (auto done = visit(number, stored); !done) return done;
            if (!rows.empty()) first = rows.back().first + 1;
        } while (static_cast<std::int64_t>(rows.size()) == rows_between_looks && first <= last);
        return {};
    }

    sqlite::Database& database_;
    ArchiveReader& reader_;
    const std::string path_;
    const std::function<bool()>& stop_;
    sqlite::Statement select_, shrink_, drop_serial_, drop_time_, drop_imprint_, drop_event_, drop_blob_,
        mark_;
};

/// For the file's pages once more as a log, and once more as a copy; and something for those that stamp.
Done check_room(const std::string& dir, const std::string& path) {
    struct statvfs disk {};
    struct stat file {};
    constexpr std::uint64_t reserve = std::uint64_t{256} << 20U;
    if (::statvfs(dir.c_str(), &disk) != 0 || ::stat(path.c_str(), &file) != 0)
        return Error::environment(path + ": " + std::strerror(errno));
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    const std::uint64_t wanted = 2 * static_cast<std::uint64_t>(file.st_size) + reserve;
    if (free >= wanted) return {};
    return Error::environment(path + ": removing wants " + std::to_string(wanted >> 20U) +
                              " MiB on its disk for a while, and there are " + std::to_string(free >> 20U) +
                              ": make room; it is tried again");
}

/// All that is due of one segment. Number of records that were removed now.
Result<std::int64_t> carry_out_in(const std::string& dir, const std::string& segment, const Due& due,
                                  ArchiveReader& reader, LeafTiles& tiles,
                                  const std::function<bool()>& stop) {
    const std::string path = segment_path(dir, segment);
    auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
    if (!database) return database.error();
    SegmentRemover remover(*database, reader, path, stop);
    const auto expired = database->integer("SELECT ifnull(max(value), -1) FROM meta WHERE key = 'expired'");
    if (!expired) return expired.error();
    const auto unused = database->integer("PRAGMA freelist_count");
    if (!unused) return unused.error();
    if (*expired >= due.event && *unused == 0) return 0;
    if (auto done = check_room(dir, path); !done) return std::move(done).error();
    // With a log the file can be read at any moment, also after a crash; and what is freed is overwritten.
    if (auto done =
            database->execute("PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA journal_mode=WAL");
        !done)
        return remover.busy_or(std::move(done).error());
    std::int64_t sum = 0;
    if (*expired < due.event) {
        const auto removed = remover.remove(segment, due, tiles);
        if (!removed) return removed;
        sum = *removed;
    }
    if (stop()) return stopped(path);
    if (auto done = database->execute("VACUUM"); !done) return remover.busy_or(std::move(done).error());
    return sum;
}

}  // namespace

Result<Carried> carry_out_removals(const std::string& dir, WallTime now, const std::function<bool()>& stop) {
    if (auto done = roll_back_broken_off(dir); !done) return std::move(done).error();
    const auto reader = ArchiveReader::open(dir);
    if (!reader) return reader.error();
    const auto removals = Removals::read(**reader);
    if (!removals) return removals.error();
    Carried carried;
    if (removals->all().empty()) return carried;
    const auto covered = covered_in(dir, **reader);
    if (!covered) return covered.error();
    const auto names = list_segments(dir);
    if (!names) return names.error();
    LeafTiles tiles(dir, *names);
    const auto tell = [&carried](const Error& error) {
        if (!carried.trouble || carried.trouble->kind == Error::Kind::no) carried.trouble = error;
    };
    carried.waiting = static_cast<std::uint64_t>(removals->all().back().number) >= *covered;
    for (const auto& [segment, due] : due_in(*removals, now, *covered)) {
        const std::string path = segment_path(dir, segment);
        if (stop()) {
            tell(stopped(path));
            break;
        }
        if (segment >= names->back() || !std::binary_search(names->begin(), names->end(), segment)) {
            tell(Error::environment(path + ": records of it are to be removed (" + archive_expired +
                                    ", record " + std::to_string(due.event) + "), and it is " +
                                    (segment == names->back() ? "being written" : "not there")));
            continue;
        }
        // What a log holds may be of before.
        const auto before = finish_segment(dir, segment);
        if (!before) {
            tell(before.error());
            continue;
        }
        const auto removed = carry_out_in(dir, segment, due, **reader, tiles, stop);
        if (removed) carried.removed += *removed;
        if (!removed) tell(removed.error());
        // Without its log the file is whole by itself again.
        const auto after = finish_segment(dir, segment);
        if (!after) tell(after.error());
        if (after && !*after)
            tell(Error::no(path + ": has a log yet, and is being read; it will be tried again"));
    }
    return carried;
}

}  // namespace kokuin::store
