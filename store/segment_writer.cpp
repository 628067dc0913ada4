#include "store/segment_writer.h"

#include <algorithm>
#include <utility>

#include "store/removal.h"
#include "store/tlog/note.h"

namespace kokuin::store {
namespace {

/// How many records the check at the start looks at: a group more than any commit can have been torn in.
constexpr std::int64_t tail_length = 2048;
/// And how many it looks at before these, evenly spread: a stretch of damage larger than one part in so many
/// is met. Each costs a few page reads, so that a start takes milliseconds more, however large the segment
/// is.
constexpr std::int64_t samples = 64;

Error damaged(const std::string& path, const std::string& what) {
    return Error::environment(path + ": " + what + ": the archive is damaged; keep the file, restore a copy");
}

}  // namespace

SegmentWriter::SegmentWriter(sqlite::Database database, std::string path)
    : database_(std::move(database)), path_(std::move(path)) {}

SegmentWriter::~SegmentWriter() {
    // A connection that has seen an error must not touch the log on its way out: open() does that, and looks.
    if (!healthy_) database_.keep_log_on_close();
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::open(const std::string& dir, const std::string& name) {
    const std::string path = segment_path(dir, name);
    auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
    if (!database) return database.error();
    std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(*database), path));
    writer->healthy_ = false;
    if (auto done = writer->prepare(); !done) return done.error();
    if (writer->meta_.segment != name)
        return damaged(path, "it says that it is the segment " + writer->meta_.segment);
    writer->healthy_ = true;
    return writer;
}

Done SegmentWriter::prepare() {
    // FULL: the log is synced at every commit. cache_size in KiB: enough for the inner pages of the index of
    // a month.
    const auto mode = database_.text("PRAGMA journal_mode=WAL");
    if (!mode) return mode.error();
    if (*mode != "wal")
        return Error::environment(path_ + ": its disk can't do write-ahead logs; use a local disk");
    if (auto done = database_.execute("PRAGMA synchronous=FULL; PRAGMA cache_size=-16384;"); !done)
        return done;
    database_.watch_log(log_frames_);

    const auto checkpoint = database_.checkpoint(sqlite::Database::Extent::truncate);
    if (!checkpoint) return checkpoint.error();
    if (checkpoint->moved < checkpoint->frames)
        return Error::environment(path_ +
                                  ": a reader keeps the log from being moved into the segment; trying again");

    auto meta = read_meta(database_, path_);
    if (!meta) return meta.error();
    meta_ = std::move(*meta);

    const std::pair<sqlite::Statement*, std::string_view> statements[] = {
        {&begin_, "BEGIN IMMEDIATE"},
        {&commit_, "COMMIT"},
        {&insert_record_, "INSERT INTO record (number, der) VALUES (?1, ?2)"},
        {&insert_blob_, "INSERT INTO blob (id, content) VALUES (?1, ?2)"},
        {&insert_serial_, "INSERT INTO by_serial (serial, number) VALUES (?1, ?2)"},
        {&insert_time_, "INSERT INTO by_time (gen_time, number) VALUES (?1, ?2)"},
        {&insert_imprint_, "INSERT INTO by_imprint (imprint, number) VALUES (?1, ?2)"},
        {&insert_event_, "INSERT INTO event (number, kind, subject) VALUES (?1, ?2, ?3)"},
        {&insert_tile_, insert_tile_sql},
        {&insert_checkpoint_, "INSERT OR IGNORE INTO checkpoint (size, note) VALUES (?1, ?2)"},
        {&insert_cosignature_, "INSERT OR IGNORE INTO cosignature (size, witness, line) VALUES (?1, ?2, ?3)"},
        {&find_checkpoint_, "SELECT note FROM checkpoint WHERE size = ?1"}};
    for (const auto& [target, sql] : statements) {
        auto statement = database_.prepare(sql);
        if (!statement) return statement.error();
        *target = std::move(*statement);
    }
    auto ids = database_.prepare("SELECT id FROM blob");
    if (!ids) return ids.error();
    while (true) {
        const auto row = ids->step();
        if (!row) return row.error();
        if (!*row) break;
        BlobId id{};
        const View octets = ids->octets(0);
        if (octets.size() != id.size()) return damaged(path_, "a blob's name isn't 32 octets");
        std::copy(octets.begin(), octets.end(), id.begin());
        blobs_.insert(id);
    }
    ids->reset();
    if (auto done = check_tail(); !done) return done;
    if (auto done = check_samples(); !done) return done;
    if (auto done = load_tree(); !done) return done;
    if (auto done = check_checkpoint(); !done) return done;
    // A write that changes nothing but proves that there is a disk with room behind the file.
    return database_.execute("UPDATE meta SET value = value WHERE key = 'segment'");
}

Done SegmentWriter::check_tail() {
    const auto last = database_.integer("SELECT ifnull(max(number), -1) FROM record");
    if (!last) return last.error();
    next_ = *last < 0 ? meta_.first : *last + 1;
    if (next_ < meta_.first) return damaged(path_, "its numbers end before its first one");
    auto tail = database_.prepare("SELECT number, der FROM record WHERE number >= ?1 ORDER BY number");
    if (!tail) return tail.error();
    RecordNumber expected = std::max(meta_.first, next_ - tail_length);
    tail->bind(1, expected);
    while (true) {
        const auto row = tail->step();
        if (!row) return row.error();
        if (!*row) break;
        if (tail->integer(0) != expected)
            return damaged(path_, "record " + std::to_string(expected) + " is missing");
        if (auto done = check(expected, tail->octets(1)); !done) return done;
        ++expected;
    }
    if (expected != next_) return damaged(path_, "record " + std::to_string(expected) + " is missing");
    for (const char* table : {"event", "by_time"}) {
        const auto stray = database_.integer(std::string("SELECT ifnull(max(number), -1) FROM ") + table +
                                             (std::string_view(table) == "event"
                                                  ? ""
                                                  : " WHERE gen_time = (SELECT max(gen_time) FROM by_time)"));
        if (!stray) return stray.error();
        if (*stray >= next_) return damaged(path_, "its index names records that it doesn't hold");
    }
    return {};
}

Done SegmentWriter::check_samples() {
    const RecordNumber end = next_ - tail_length;
    const std::int64_t step = std::max<std::int64_t>(1, (end - meta_.first) / samples);
    auto one = database_.prepare("SELECT der FROM record WHERE number = ?1");
    if (!one) return one.error();
    for (RecordNumber number = meta_.first; number < end; number += step) {
        one->bind(1, number);
        const auto row = one->step();
        if (!row) return row.error();
        if (!*row) return damaged(path_, "record " + std::to_string(number) + " is missing");
        if (auto done = check(number, one->octets(0)); !done) return done;
        one->reset();
    }
    return {};
}

Done SegmentWriter::load_tree() {
    auto one = database_.prepare("SELECT der FROM record WHERE number = ?1");
    if (!one) return one.error();
    auto edge = TileEdge::load(
        static_cast<std::uint64_t>(next_),
        [&](unsigned level, std::uint64_t position) { return read_tile(database_, level, position); },
        [&](std::uint64_t leaf) -> Result<tlog::Hash> {
            one->bind(1, static_cast<std::int64_t>(leaf));
            const auto row = one->step();
            if (!row) return row.error();
            if (!*row) return damaged(path_, "record " + std::to_string(leaf) + " is missing");
            const tlog::Hash hash = leaf_of(one->octets(0));
            one->reset();
            return hash;
        });
    if (!edge) return std::move(edge).error().in(path_);
    edge_ = std::move(*edge);
    return {};
}

Done SegmentWriter::check_checkpoint() {
    const auto newest = database_.integer("SELECT ifnull(max(size), -1) FROM checkpoint");
    if (!newest) return newest.error();
    if (*newest < 0) return {};
    const auto note = database_.text("SELECT note FROM checkpoint WHERE size = " + std::to_string(*newest));
    if (!note) return note.error();
    const std::string name = "its checkpoint of size " + std::to_string(*newest);
    // Nobody's signature is asked for here: whoever can change both can change the signature's key too.
    const auto parsed = tlog::Note::parse(*note);
    const auto checkpoint =
        parsed ? tlog::Checkpoint::parse(parsed->text) : Result<tlog::Checkpoint>(parsed.error());
    if (!checkpoint) return damaged(path_, name + " can't be read (" + checkpoint.error().text + ")");
    if (checkpoint->origin != meta_.origin) return damaged(path_, name + " is of another log");
    if (*newest > next_ || *newest < meta_.first ||
        static_cast<std::int64_t>(checkpoint->head.size) != *newest)
        return damaged(path_, name + " is signed, but the last record is " + std::to_string(next_ - 1));
    const Tiles tiles = [&](unsigned level, std::uint64_t position, std::uint64_t) -> Result<Bytes> {
        const View edge = edge_.find(level, position);
        if (!edge.empty()) return Bytes(edge.begin(), edge.end());
        return read_tile(database_, level, position);
    };
    const auto tree = tlog::grown(checkpoint->head.size, nodes_in(tiles));
    if (!tree) return Error(tree.error()).in(path_);
    if (tree->head() != checkpoint->head)
        return damaged(path_, name + " was signed over other records than those that are here");
    return {};
}

Done SegmentWriter::check(RecordNumber number, View der) {
    // In a copy that is as far as such a segment. Whether that is as it must be is for `tsaudit verify`.
    if (is_removed(der)) return {};
    auto record = decode(der, contexts_, [this](const BlobId& id) { return read_blob(database_, id); });
    const std::string name = "record " + std::to_string(number);
    if (!record) return std::move(record).error().in(path_ + ": " + name);
    if (record->number != number) return damaged(path_, name + " holds the number of another one");
    return check_index(*record);
}

Done SegmentWriter::check_index(const Record& record) {
    const auto has = [&](std::string_view sql, const auto&... values) -> Result<bool> {
        auto statement = database_.prepare(sql);
        if (!statement) return statement.error();
        int index = 0;
        (statement->bind(++index, values), ...);
        return statement->step();
    };
    const auto judge = [&](const Result<bool>& found) -> Done {
        if (!found) return found.error();
        if (!*found) return damaged(path_, "the index lacks record " + std::to_string(record.number));
        return {};
    };
    if (const auto* event = std::get_if<Event>(&record.body))
        return judge(has("SELECT 1 FROM event WHERE number = ?1 AND kind = ?2 AND subject = ?3",
                         record.number, std::string_view(event->kind), std::string_view(event->subject)));
    const IssuanceKeys keys = keys_of(std::get<Issuance>(record.body));
    return judge(
        has("SELECT 1 FROM by_serial s, by_time t, by_imprint i WHERE s.serial = ?1 AND s.number = ?2 "
            "AND t.gen_time = ?3 AND t.number = ?2 AND i.imprint = ?4 AND i.number = ?2",
            View(keys.serial), record.number, keys.gen_time_us, keys.imprint));
}

Done SegmentWriter::insert(const Row& row, RecordNumber number) {
    for (const BlobId& id : *row.needed) {
        if (blobs_.contains(id)) continue;
        const Blob& blob = row.context && row.context->id() == id
                               ? *row.context
                               : *std::find_if(row.blobs->begin(), row.blobs->end(),
                                               [&](const Blob& candidate) { return candidate.id() == id; });
        insert_blob_.bind(1, View(id));
        insert_blob_.bind(2, blob.content());
        if (auto done = insert_blob_.run(); !done) return done;
        blobs_.insert(id);
    }
    insert_record_.bind(1, number);
    insert_record_.bind(2, View(row.der));
    if (auto done = insert_record_.run(); !done) return done;
    if (std::holds_alternative<Gone>(row.keys)) return {};
    if (const auto* event = std::get_if<EventKeys>(&row.keys)) {
        insert_event_.bind(1, number);
        insert_event_.bind(2, event->kind);
        insert_event_.bind(3, event->subject);
        return insert_event_.run();
    }
    return run_on_index(*std::get<const IssuanceKeys*>(row.keys), number, insert_serial_, insert_time_,
                        insert_imprint_);
}

Done SegmentWriter::commit(const std::vector<Row>& rows, const std::vector<CheckpointRow>& checkpoints,
                           const std::vector<CosignatureRow>& cosignatures) {
    healthy_ = false;
    if (auto done = begin_.run(); !done) return done;
    RecordNumber number = next_;
    std::vector<Tile> full;
    for (const Row& row : rows) {
        if (auto done = insert(row, number++); !done) return done;
        edge_.add(std::holds_alternative<Gone>(row.keys) ? leaf_of(row.der) : tlog::leaf_hash(row.der), full);
    }
    for (const Tile& tile : full) {
        bind_tile(insert_tile_, tile);
        if (auto done = insert_tile_.run(); !done) return done;
    }
    for (const CheckpointRow& checkpoint : checkpoints) {
        insert_checkpoint_.bind(1, static_cast<std::int64_t>(checkpoint.size));
        insert_checkpoint_.bind(2, std::string_view(checkpoint.note));
        if (auto done = insert_checkpoint_.run(); !done) return done;
    }
    for (const CosignatureRow& cosignature : cosignatures) {
        insert_cosignature_.bind(1, static_cast<std::int64_t>(cosignature.size));
        insert_cosignature_.bind(2, std::string_view(cosignature.witness));
        insert_cosignature_.bind(3, std::string_view(cosignature.line));
        if (auto done = insert_cosignature_.run(); !done) return done;
    }
    if (auto done = commit_.run(); !done) return done;
    next_ = number;
    healthy_ = true;
    return {};
}

Result<std::optional<std::string>> SegmentWriter::checkpoint(std::uint64_t size) {
    find_checkpoint_.bind(1, static_cast<std::int64_t>(size));
    const auto row = find_checkpoint_.step();
    if (!row) return row.error();
    std::optional<std::string> note;
    if (*row) note = find_checkpoint_.text(0);
    find_checkpoint_.reset();
    return note;
}

Result<SegmentWriter::NewestSigned> SegmentWriter::newest_signed() {
    const auto checkpoint = database_.integer("SELECT ifnull(max(size), -1) FROM checkpoint");
    if (!checkpoint) return checkpoint.error();
    const auto cosignatures = database_.integer("SELECT count(*) FROM cosignature");
    if (!cosignatures) return cosignatures.error();
    return NewestSigned{*checkpoint, *cosignatures};
}

Done SegmentWriter::catch_up() {
    const auto checkpoint = database_.checkpoint(sqlite::Database::Extent::passive);
    if (!checkpoint) {
        healthy_ = false;
        return checkpoint.error();
    }
    return {};
}

Result<bool> finish_segment(const std::string& dir, const std::string& name) {
    const std::string path = segment_path(dir, name);
    auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
    if (!database) return database.error();
    database->keep_log_on_close();
    const auto mode = database->text("PRAGMA journal_mode");
    if (!mode) return mode.error();
    if (*mode == "delete") return true;
    if (auto done = database->execute("PRAGMA synchronous=FULL"); !done) return done.error();
    const auto checkpoint = database->checkpoint(sqlite::Database::Extent::truncate);
    if (!checkpoint) return checkpoint.error();
    if (checkpoint->busy) return false;
    const auto now = database->text("PRAGMA journal_mode=DELETE");
    if (!now && database->was_busy()) return false;
    if (!now) return now.error();
    return *now == "delete";
}

}  // namespace kokuin::store
