#include "store/scan.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/sqlite/sqlite.h"
#include "store/segment.h"
#include "store/segment_reader.h"

namespace kokuin::store {
namespace {

using sqlite::Statement;
using Type = Statement::Type;

constexpr std::int64_t rows_at_once = 2048;
constexpr RecordNumber limit = RecordNumber{1} << 48;
/// Records that may be missing from one segment before what comes after them isn't counted to it.
constexpr std::int64_t most_missing = 1'000'000;
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
    Impl(SegmentReader opened, std::string path_)
        : reader(std::move(opened)), database(reader.database()), path(std::move(path_)) {
        const Meta& meta = reader.meta();
        facts = {meta.segment, meta.archive,  meta.origin,
                 meta.first,   meta.previous, meta.format == restored_format};
    }

    /// Runs a select to its end, in one transaction: a row that another order or another type of value would
    /// hide is met all the same.
    Done all(std::string_view sql, const std::function<void(const Statement&)>& visit) {
        auto select = database.prepare(sql);
        if (!select) return select.error();
        while (true) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) return {};
            visit(*select);
        }
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

    /// The lowest number that counts.
    [[nodiscard]] RecordNumber first() const { return std::clamp<RecordNumber>(facts.first, 0, limit); }
    Result<RecordNumber> last_below(RecordNumber end) {
        return number("SELECT ifnull(max(number), -1) FROM record WHERE number >= ?1 AND number < ?2", end);
    }
    Result<std::int64_t> count_below(RecordNumber end) {
        return number("SELECT count(*) FROM record WHERE number >= ?1 AND number < ?2", end);
    }

    SegmentReader reader;
    sqlite::Database& database;
    SegmentFacts facts;

    const std::string path;

  private:
    Result<std::int64_t> number(std::string_view sql, RecordNumber end) {
        auto select = database.prepare(sql);
        if (!select) return select.error();
        select->bind(1, first());
        select->bind(2, end);
        const auto row = select->step();
        if (!row) return row.error();
        return select->integer(0);
    }
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

    std::set<std::string> keys{"archive", "origin", "segment", "first", "previous", "expired"};
    auto meta = impl_->database.prepare("SELECT key, value FROM meta");
    if (!meta) return meta.error();
    while (true) {
        const auto row = meta->step();
        if (!row) return row.error();
        if (!*row) break;
        const std::string key = text(*meta, 0);
        const Type type = key == "first" || key == "expired" ? Type::integer : Type::text;
        if (keys.erase(key) == 0 || meta->type(1) != type)
            found.push_back("its table meta has an entry '" + key + "' that isn't part of the format");
    }
    keys.erase("expired");  // only where records were removed
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

Result<RecordNumber> SegmentScan::last() {
    auto found = impl_->last_below(limit);
    // Numbers that no archive reaches don't count, so that nobody waits for all those below them. Counting
    // reads the whole table: only where it matters.
    const RecordNumber near = impl_->first() + most_missing;
    if (!found || *found < near) return found;
    const auto count = impl_->count_below(limit);
    if (!count) return count.error();
    return *found < near + *count ? found : impl_->last_below(near + *count);
}

Result<std::int64_t> SegmentScan::count() {
    const auto highest = last();
    return highest ? impl_->count_below(*highest + 1) : highest;
}

Done SegmentScan::hold() {
    if (auto done = impl_->database.execute("BEGIN"); !done) return done;
    // Only now it has the lock.
    const auto read = impl_->database.integer("SELECT count(*) FROM meta");
    return read ? Done() : Done(read.error());
}

Done SegmentScan::records(RecordNumber first, RecordNumber last,
                          const std::function<void(RecordNumber, View der)>& visit) {
    auto select = impl_->database.prepare(
        "SELECT number, der FROM record WHERE number >= ?1 AND number <= ?2 ORDER BY number LIMIT ?3");
    if (!select) return select.error();
    for (std::int64_t rows = rows_at_once; rows == rows_at_once && first <= last;) {
        select->bind(1, first);
        select->bind(2, last);
        select->bind(3, rows_at_once);
        for (rows = 0;; ++rows) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) break;
            const RecordNumber number = select->integer(0);
            if (number < first) return Error::environment(impl_->path + ": its records are out of order");
            visit(number, octets(*select, 1));
            if (number == last) return {};
            first = number + 1;
        }
        select->reset();  // ends the transaction
    }
    return {};
}

Done SegmentScan::removed(const std::function<void(RecordNumber)>& visit) {
    return impl_->all("SELECT number FROM record WHERE length(der) = 32 ORDER BY number",
                      [&visit](const Statement& row) { visit(integer(row, 0)); });
}

Result<std::optional<Bytes>> SegmentScan::record(RecordNumber number) {
    return impl_->one("SELECT der FROM record WHERE number = ?1",
                      [&](Statement& select) { select.bind(1, number); });
}

Result<std::optional<Bytes>> SegmentScan::blob(const BlobId& id) {
    return read_blob(impl_->database, id);
}

Done SegmentScan::blobs(const std::function<void(View id, View content)>& visit) {
    return impl_->all("SELECT id, content FROM blob",
                      [&](const Statement& row) { visit(octets(row, 0), octets(row, 1)); });
}

Done SegmentScan::tiles(const std::function<void(std::int64_t, std::int64_t, View)>& visit) {
    return impl_->all("SELECT level, position, hashes FROM tile",
                      [&](const Statement& row) { visit(integer(row, 0), integer(row, 1), octets(row, 2)); });
}

Result<Bytes> SegmentScan::tile(unsigned level, std::uint64_t position) {
    return impl_->reader.tile(level, position);
}

Done SegmentScan::checkpoints(const std::function<void(std::int64_t, const std::string&)>& visit) {
    return impl_->all("SELECT size, note FROM checkpoint ORDER BY size",
                      [&](const Statement& row) { visit(row.integer(0), text(row, 1)); });
}

Done SegmentScan::cosignatures(
    const std::function<void(std::int64_t, const std::string&, const std::string&)>& visit) {
    return impl_->all("SELECT size, witness, line FROM cosignature ORDER BY rowid",
                      [&](const Statement& row) { visit(integer(row, 0), text(row, 1), text(row, 2)); });
}

Done SegmentScan::serials(const std::function<void(View, RecordNumber)>& visit) {
    return impl_->all("SELECT serial, number FROM by_serial",
                      [&](const Statement& row) { visit(octets(row, 0), integer(row, 1)); });
}

Done SegmentScan::times(const std::function<void(std::int64_t, RecordNumber)>& visit) {
    return impl_->all("SELECT gen_time, number FROM by_time",
                      [&](const Statement& row) { visit(integer(row, 0), integer(row, 1)); });
}

Done SegmentScan::imprints(const std::function<void(std::int64_t, RecordNumber)>& visit) {
    return impl_->all("SELECT imprint, number FROM by_imprint",
                      [&](const Statement& row) { visit(integer(row, 0), integer(row, 1)); });
}

Done SegmentScan::events(const std::function<void(RecordNumber, std::string_view, std::string_view)>& visit) {
    return impl_->all("SELECT number, kind, subject FROM event ORDER BY number", [&](const Statement& row) {
        const bool typed = row.type(1) == Type::text && row.type(2) == Type::text;
        visit(row.integer(0), typed ? row.text(1) : std::string(), typed ? row.text(2) : std::string());
    });
}

IndexKeys index_keys(const OwnIssuance& issuance) {
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
