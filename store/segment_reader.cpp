#include "store/segment_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "store/removal.h"

namespace kokuin::store {
namespace {

constexpr std::int64_t batch = 256;

bool exists(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

bool has_content(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

}  // namespace

SegmentReader::SegmentReader(sqlite::Database database, std::string path)
    : database_(std::move(database)), path_(std::move(path)) {}

Result<SegmentReader> SegmentReader::open(const std::string& dir, const std::string& name) {
    using Mode = sqlite::Database::Mode;
    const std::string path = segment_path(dir, name);
    std::vector<Mode> modes{Mode::read};
    // Whoever writes a segment has a shared-memory file beside it: only without one is it safe to read
    // without locks.
    if (!exists(path + "-shm") && !has_content(path + "-journal"))
        modes.push_back(has_content(path + "-wal") ? Mode::alone : Mode::immutable);
    std::optional<Error> first_error;
    for (const Mode mode : modes) {
        auto database = sqlite::Database::open(path, mode);
        if (!database) {
            if (!first_error) first_error = database.error();
            continue;
        }
        auto meta = read_meta(*database, path);
        if (!meta) {
            if (!first_error) first_error = meta.error();
            continue;
        }
        if (meta->segment != name)
            return Error::environment(path + ": says that it is the segment " + meta->segment +
                                      ": was it renamed?");
        SegmentReader reader(std::move(*database), path);
        reader.meta_ = std::move(*meta);
        return reader;
    }
    return *first_error;
}

Result<Record> SegmentReader::read(RecordNumber number, View der) {
    auto record = decode(der, contexts_, [this](const BlobId& id) { return read_blob(database_, id); });
    const std::string where = path_ + ": record " + std::to_string(number);
    if (!record) return std::move(record).error().in(where);
    if (record->number != number)
        return Error::environment(where + " holds the number " + std::to_string(record->number) +
                                  ": the archive is damaged, restore a copy");
    return record;
}

Result<bool> SegmentReader::batches(std::string_view sql, RecordNumber first, Numbers numbers,
                                    const Visit& agrees, const std::function<void(sqlite::Statement&)>& bind,
                                    const Visit& visit) {
    auto select = database_.prepare(sql);
    if (!select) return select.error();
    std::vector<Record> records;
    while (true) {
        records.clear();
        RecordNumber least = first;
        std::int64_t rows = 0;
        select->bind(1, first);
        select->bind(2, batch);
        bind(*select);
        while (true) {
            const auto row = select->step();
            if (!row)
                return Error::environment(row.error().text + " (met after record " +
                                          std::to_string(least - 1) + ")");
            if (!*row) break;
            const RecordNumber number = select->integer(0);

            if (numbers == Numbers::gapless && number != least)
                return Error::environment(path_ + ": record " + std::to_string(least) + " is missing, " +
                                          std::to_string(number) +
                                          " is in its place: the archive is damaged, restore a copy");
            if (number < least)
                return Error::environment(path_ + ": the index is out of order at record " +
                                          std::to_string(number) +
                                          ": the archive is damaged, restore a copy");
            if (select->is_null(1))
                return Error::environment(path_ + ": the index names record " + std::to_string(number) +
                                          ", which isn't there: the archive is damaged, restore a copy");
            ++rows;
            least = number + 1;
            // The index names none that was removed.
            if (numbers == Numbers::gapless && is_removed(select->octets(1))) continue;
            auto record = read(number, select->octets(1));
            if (!record) return record.error();
            if (!agrees(*record))
                return Error::environment(path_ + ": the index and record " + std::to_string(number) +
                                          " disagree: the archive is damaged, restore a copy");
            records.push_back(std::move(*record));
        }
        select->reset();  // ends the transaction before anybody else's code runs
        for (const Record& record : records)
            if (!visit(record)) return false;
        if (rows < batch) return true;
        first = least;
    }
}

Result<bool> SegmentReader::by_serial(View serial, const Visit& visit) {
    const Bytes key = without_zeros(serial);
    return batches(
        "SELECT i.number, r.der FROM by_serial i LEFT JOIN record r ON r.number = i.number "
        "WHERE i.serial = ?3 AND i.number >= ?1 ORDER BY i.number LIMIT ?2",
        0, Numbers::rising,
        [&](const Record& record) {
            const auto* issuance = std::get_if<Issuance>(&record.body);
            return issuance && without_zeros(issuance->serial) == key;
        },
        [&](sqlite::Statement& select) { select.bind(3, View(key)); }, visit);
}

Result<bool> SegmentReader::by_imprint(View imprint, const Visit& visit) {
    const std::int64_t key = imprint_key(imprint);
    return batches(
        "SELECT i.number, r.der FROM by_imprint i LEFT JOIN record r ON r.number = i.number "
        "WHERE i.imprint = ?3 AND i.number >= ?1 ORDER BY i.number LIMIT ?2",
        0, Numbers::rising,
        [&](const Record& record) {
            const auto* issuance = std::get_if<Issuance>(&record.body);
            return issuance && imprint_key(issuance->imprint) == key;
        },
        [&](sqlite::Statement& select) { select.bind(3, key); }, visit);
}

Result<bool> SegmentReader::by_number(RecordNumber first, RecordNumber last, const Visit& visit) {
    return batches(
        "SELECT number, der FROM record WHERE number >= ?1 AND number <= ?3 ORDER BY number LIMIT ?2",
        std::max(first, meta_.first), Numbers::gapless, [](const Record&) { return true; },
        [&](sqlite::Statement& select) { select.bind(3, last); }, visit);
}

Result<bool> SegmentReader::events(const std::optional<std::string>& kind, RecordNumber first,
                                   const Visit& visit) {
    const Visit agrees = [&](const Record& record) {
        const auto* event = std::get_if<Event>(&record.body);
        return event && (!kind || event->kind == *kind);
    };
    if (!kind)
        return batches(
            "SELECT i.number, r.der FROM event i LEFT JOIN record r ON r.number = i.number "
            "WHERE i.number >= ?1 ORDER BY i.number LIMIT ?2",
            first, Numbers::rising, agrees, [](sqlite::Statement&) {}, visit);
    return batches(
        "SELECT i.number, r.der FROM event i LEFT JOIN record r ON r.number = i.number "
        "WHERE i.kind = ?3 AND i.number >= ?1 ORDER BY i.number LIMIT ?2",
        first, Numbers::rising, agrees,
        [&](sqlite::Statement& select) { select.bind(3, std::string_view(*kind)); }, visit);
}

Result<std::optional<SegmentReader::Range>> SegmentReader::range(std::int64_t from_us, std::int64_t to_us) {
    auto select = database_.prepare(
        "SELECT min(number), max(number) FROM by_time WHERE gen_time >= ?1 AND gen_time < ?2");
    if (!select) return select.error();
    select->bind(1, from_us);
    select->bind(2, to_us);
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row || select->is_null(0)) return std::optional<Range>();
    return std::optional<Range>(Range{select->integer(0), select->integer(1)});
}

Result<std::optional<RecordNumber>> SegmentReader::latest_event(std::string_view kind,
                                                                std::string_view subject) {
    auto select = database_.prepare("SELECT max(number) FROM event WHERE kind = ?1 AND subject = ?2");
    if (!select) return select.error();
    select->bind(1, kind);
    select->bind(2, subject);
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row || select->is_null(0)) return std::optional<RecordNumber>();
    return std::optional<RecordNumber>(select->integer(0));
}

Result<std::optional<Record>> SegmentReader::record(RecordNumber number) {
    std::optional<Record> found;
    const auto end = by_number(number, number, [&](const Record& record) {
        found = record;
        return false;
    });
    if (!end) return end.error();
    return found;
}

Result<RecordNumber> SegmentReader::next() {
    const auto last = database_.integer("SELECT ifnull(max(number), -1) FROM record");
    if (!last) return last.error();
    return *last < 0 ? meta_.first : *last + 1;
}

Result<tlog::Hash> SegmentReader::leaf(RecordNumber number) {
    auto select = database_.prepare("SELECT der FROM record WHERE number = ?1");
    if (!select) return select.error();
    select->bind(1, number);
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row)
        return Error::environment(path_ + ": record " + std::to_string(number) +
                                  " is missing: the archive is damaged, restore a copy");
    return leaf_of(select->octets(0));
}

Result<std::optional<SegmentReader::CheckpointRow>> SegmentReader::latest_checkpoint() {
    auto select = database_.prepare("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1");
    if (!select) return select.error();
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row) return std::optional<CheckpointRow>();
    return std::optional<CheckpointRow>({static_cast<std::uint64_t>(select->integer(0)), select->text(1)});
}

Result<std::optional<SegmentReader::CheckpointRow>> SegmentReader::latest_witnessed(
    const std::optional<std::string>& witness) {
    const std::string_view name = witness ? std::string_view(*witness) : std::string_view();
    auto select = database_.prepare(
        "SELECT c.size, c.note, s.line FROM cosignature s JOIN checkpoint c ON c.size = s.size "
        "WHERE (?1 = '' OR s.witness = ?1) AND s.size = (SELECT max(size) FROM cosignature "
        "WHERE ?1 = '' OR witness = ?1) ORDER BY s.rowid");
    if (!select) return select.error();
    select->bind(1, name);
    std::optional<CheckpointRow> found;
    while (true) {
        const auto row = select->step();
        if (!row) return row.error();
        if (!*row) return found;
        if (!found) found = CheckpointRow{static_cast<std::uint64_t>(select->integer(0)), select->text(1)};
        found->note += select->text(2) + "\n";
    }
}

Result<std::optional<Bytes>> SegmentReader::blob(const BlobId& id) {
    auto content = read_blob(database_, id);
    if (content && *content && blob_id(**content) != id)
        return Error::environment(
            path_ + ": the blob " + to_hex(id) +
            " has another SHA-256 than its name: the archive is damaged, restore a copy");
    return content;
}

}  // namespace kokuin::store
