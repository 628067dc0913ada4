#include "store/scan.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "store/segment.h"
#include "store/segment_reader.h"
#include "store/sqlite.h"

namespace kokuin::store {
namespace {

using sqlite::Statement;
using Type = Statement::Type;

constexpr std::int64_t batch = 2048;
constexpr std::int64_t impossible = std::numeric_limits<std::int64_t>::min();

std::int64_t integer(const Statement& row, int column) {
    return row.type(column) == Type::integer ? row.integer(column) : impossible;
}
View octets(const Statement& row, int column) {
    return row.type(column) == Type::blob ? row.octets(column) : View();
}
std::string text(const Statement& row, int column) {
    return row.type(column) == Type::text ? row.text(column) : std::string();
}

}  // namespace

class SegmentScan::Impl {
  public:
    Impl(SegmentReader opened, std::string path)
        : reader(std::move(opened)), database(reader.database()), segment_path_(std::move(path)) {
        const Meta& meta = reader.meta();
        facts = {meta.segment, meta.archive, meta.origin, meta.first, meta.previous};
    }

    /// Runs a select in batches, each in a transaction of its own: `bind` binds where to go on, from 2 up (1
    /// is the batch's size), `visit` takes a row and remembers that place; false: it doesn't come after the
    /// one before, and going on from there might never end.
    Done batches(std::string_view sql, const std::function<void(Statement&)>& bind,
                 const std::function<bool(const Statement&)>& visit) {
        auto select = database.prepare(sql);
        if (!select) return select.error();
        for (std::int64_t rows = batch; rows == batch;) {
            select->bind(1, batch);
            bind(*select);
            for (rows = 0;; ++rows) {
                const auto row = select->step();
                if (!row) return row.error();
                if (!*row) break;
                if (!visit(*select))
                    return Error::environment(segment_path_ +
                                              ": a table is out of order: the file is damaged");
            }
            select->reset();
        }
        return {};
    }

    Result<std::optional<Bytes>> one(std::string_view sql, const std::function<void(Statement&)>& bind) {
        auto select = database.prepare(sql);
        if (!select) return select.error();
        bind(*select);
        const auto row = select->step();
        if (!row) return row.error();
        if (!*row) return std::optional<Bytes>();
        const View found = octets(*select, 0);
        return std::optional<Bytes>(Bytes(found.begin(), found.end()));
    }

    SegmentReader reader;
    sqlite::Database& database;
    SegmentFacts facts;

  private:
    std::string segment_path_;
};

SegmentScan::SegmentScan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentScan::SegmentScan(SegmentScan&&) noexcept = default;
SegmentScan::~SegmentScan() = default;

Result<SegmentScan> SegmentScan::open(const std::string& dir, const std::string& name) {
    auto reader = SegmentReader::open(dir, name);
    if (!reader) return reader.error();
    return SegmentScan(std::make_unique<Impl>(std::move(*reader), segment_path(dir, name)));
}

const SegmentFacts& SegmentScan::facts() const {
    return impl_->facts;
}

Result<std::vector<std::string>> SegmentScan::differences() {
    std::vector<std::string> found;
    const auto expected = schema_objects();
    if (!expected) return expected.error();
    std::set<std::string> missing(expected->begin(), expected->end());
    auto objects = impl_->database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
    if (!objects) return objects.error();
    while (true) {
        const auto row = objects->step();
        if (!row) return row.error();
        if (!*row) break;
        if (missing.erase(text(*objects, 0)) == 0)
            found.push_back("isn't part of the format: " + text(*objects, 0));
    }
    for (const std::string& object : missing) found.push_back("is missing: " + object);

    std::set<std::string> keys{"archive", "origin", "segment", "first", "previous"};
    auto meta = impl_->database.prepare("SELECT key, value FROM meta");
    if (!meta) return meta.error();
    while (true) {
        const auto row = meta->step();
        if (!row) return row.error();
        if (!*row) break;
        const std::string key = text(*meta, 0);
        const Type type = key == "first" ? Type::integer : Type::text;
        if (keys.erase(key) == 0 || meta->type(1) != type)
            found.push_back("its table meta has an entry '" + key + "' that isn't part of the format");
    }
    for (const std::string& key : keys) found.push_back("its table meta lacks '" + key + "'");
    return found;
}

Result<std::vector<std::string>> SegmentScan::integrity() {
    auto check = impl_->database.prepare("PRAGMA integrity_check(100)");
    if (!check) return check.error();
    std::vector<std::string> found;
    while (true) {
        const auto row = check->step();
        if (!row) return row.error();
        if (!*row) return found;
        if (check->text(0) != "ok") found.push_back(check->text(0));
    }
}

Result<SegmentScan::Extent> SegmentScan::extent() {
    auto select = impl_->database.prepare(
        "SELECT count(*), ifnull(min(number), 0), ifnull(max(number), -1) FROM record");
    if (!select) return select.error();
    const auto row = select->step();
    if (!row) return row.error();
    return Extent{select->integer(0), select->integer(1), select->integer(2)};
}

Done SegmentScan::records(RecordNumber first, RecordNumber last,
                          const std::function<void(RecordNumber, View der)>& visit) {
    RecordNumber next = first;
    return impl_->batches(
        "SELECT number, der FROM record WHERE number >= ?2 AND number <= ?3 ORDER BY number LIMIT ?1",
        [&](Statement& select) {
            select.bind(2, next);
            select.bind(3, last);
        },
        [&](const Statement& row) -> bool {
            if (row.integer(0) < next) return false;
            next = row.integer(0) + 1;
            visit(row.integer(0), octets(row, 1));
            return true;
        });
}

Result<std::optional<Bytes>> SegmentScan::record(RecordNumber number) {
    return impl_->one("SELECT der FROM record WHERE number = ?1",
                      [&](Statement& select) { select.bind(1, number); });
}

Result<std::optional<Bytes>> SegmentScan::blob(const BlobId& id) {
    return impl_->one("SELECT content FROM blob WHERE id = ?1",
                      [&](Statement& select) { select.bind(1, View(id)); });
}

Done SegmentScan::blobs(const std::function<void(View id, View content)>& visit) {
    std::int64_t next = impossible;
    return impl_->batches(
        "SELECT rowid, id, content FROM blob WHERE rowid > ?2 ORDER BY rowid LIMIT ?1",
        [&](Statement& select) { select.bind(2, next); },
        [&](const Statement& row) -> bool {
            if (row.integer(0) <= next) return false;
            next = row.integer(0);
            visit(octets(row, 1), octets(row, 2));
            return true;
        });
}

Done SegmentScan::tiles(const std::function<void(std::int64_t, std::int64_t, View)>& visit) {
    std::int64_t next = impossible;
    return impl_->batches(
        "SELECT rowid, level, position, hashes FROM tile WHERE rowid > ?2 ORDER BY rowid LIMIT ?1",
        [&](Statement& select) { select.bind(2, next); },
        [&](const Statement& row) -> bool {
            if (row.integer(0) <= next) return false;
            next = row.integer(0);
            visit(integer(row, 1), integer(row, 2), octets(row, 3));
            return true;
        });
}

Result<Bytes> SegmentScan::tile(unsigned level, std::uint64_t position) {
    return impl_->reader.tile(level, position);
}

Done SegmentScan::checkpoints(const std::function<void(std::int64_t, const std::string&)>& visit) {
    std::int64_t next = impossible;
    return impl_->batches(
        "SELECT size, note FROM checkpoint WHERE size > ?2 ORDER BY size LIMIT ?1",
        [&](Statement& select) { select.bind(2, next); },
        [&](const Statement& row) -> bool {
            if (row.integer(0) <= next) return false;
            next = row.integer(0);
            visit(row.integer(0), text(row, 1));
            return true;
        });
}

Done SegmentScan::cosignatures(
    const std::function<void(std::int64_t, const std::string&, const std::string&)>& visit) {
    // By rowid: a column whose value has another type than the format's would not be where its order says.
    std::int64_t next = impossible;
    return impl_->batches(
        "SELECT rowid, size, witness, line FROM cosignature WHERE rowid > ?2 ORDER BY rowid LIMIT ?1",
        [&](Statement& select) { select.bind(2, next); },
        [&](const Statement& row) -> bool {
            if (row.integer(0) <= next) return false;
            next = row.integer(0);
            visit(integer(row, 1), text(row, 2), text(row, 3));
            return true;
        });
}

Done SegmentScan::serials(const std::function<void(View, RecordNumber)>& visit) {
    Bytes serial;
    Bytes bound;  // stays while the batch is read
    std::int64_t number = impossible;
    return impl_->batches(
        "SELECT serial, number FROM by_serial WHERE (serial, number) > (?2, ?3) ORDER BY serial, number "
        "LIMIT ?1",
        [&](Statement& select) {
            bound = serial;
            select.bind(2, View(bound));
            select.bind(3, number);
        },
        [&](const Statement& row) -> bool {
            const View view = row.octets(0);
            Bytes found(view.begin(), view.end());
            if (std::pair(found, row.integer(1)) <= std::pair(serial, number)) return false;
            serial = std::move(found);
            number = row.integer(1);
            visit(octets(row, 0), integer(row, 1));
            return true;
        });
}

Done SegmentScan::times(const std::function<void(std::int64_t, RecordNumber)>& visit) {
    std::int64_t time = impossible;
    std::int64_t number = impossible;
    return impl_->batches(
        "SELECT gen_time, number FROM by_time WHERE (gen_time, number) > (?2, ?3) ORDER BY gen_time, number "
        "LIMIT ?1",
        [&](Statement& select) {
            select.bind(2, time);
            select.bind(3, number);
        },
        [&](const Statement& row) -> bool {
            if (std::pair(row.integer(0), row.integer(1)) <= std::pair(time, number)) return false;
            time = row.integer(0);
            number = row.integer(1);
            visit(integer(row, 0), integer(row, 1));
            return true;
        });
}

Done SegmentScan::imprints(const std::function<void(std::int64_t, RecordNumber)>& visit) {
    std::int64_t key = impossible;
    std::int64_t number = impossible;
    return impl_->batches(
        "SELECT imprint, number FROM by_imprint WHERE (imprint, number) > (?2, ?3) ORDER BY imprint, number "
        "LIMIT ?1",
        [&](Statement& select) {
            select.bind(2, key);
            select.bind(3, number);
        },
        [&](const Statement& row) -> bool {
            if (std::pair(row.integer(0), row.integer(1)) <= std::pair(key, number)) return false;
            key = row.integer(0);
            number = row.integer(1);
            visit(integer(row, 0), integer(row, 1));
            return true;
        });
}

Done SegmentScan::events(const std::function<void(RecordNumber, std::string_view, std::string_view)>& visit) {
    std::int64_t next = impossible;
    return impl_->batches(
        "SELECT number, kind, subject FROM event WHERE number > ?2 ORDER BY number LIMIT ?1",
        [&](Statement& select) { select.bind(2, next); },
        [&](const Statement& row) -> bool {
            if (row.integer(0) <= next) return false;
            next = row.integer(0);
            const bool typed = row.type(1) == Type::text && row.type(2) == Type::text;
            visit(row.integer(0), typed ? row.text(1) : std::string(), typed ? row.text(2) : std::string());
            return true;
        });
}

IndexKeys index_keys(const Issuance& issuance) {
    const IssuanceKeys keys = keys_of(issuance);
    return {keys.serial, keys.gen_time_us, keys.imprint};
}

Result<std::vector<std::string>> segments_in(const std::string& dir) {
    auto names = list_segments(dir);
    if (names && names->empty())
        return Error::usage(
            dir + ": no archive here (no file named YYYY-MM.sqlite): give the folder that holds one");
    return names;
}

}  // namespace kokuin::store
