#include "store/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "base/text.h"

namespace kokuin::store {
namespace {

constexpr const char* suffix = ".sqlite";
constexpr std::int64_t formats[] = {plain_format, restored_format};

// docs/archive.md repeats this; tests/store compares the two. 1263487829 is "KOKU".
constexpr const char* schema = R"sql(
PRAGMA application_id = 1263487829;
PRAGMA user_version = 4;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE record (number INTEGER PRIMARY KEY, der BLOB NOT NULL);
CREATE TABLE blob (id BLOB PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE by_serial (serial BLOB, number INTEGER, PRIMARY KEY (serial, number)) WITHOUT ROWID;
CREATE TABLE by_time (gen_time INTEGER, number INTEGER, PRIMARY KEY (gen_time, number)) WITHOUT ROWID;
CREATE TABLE by_imprint (imprint INTEGER, number INTEGER, PRIMARY KEY (imprint, number)) WITHOUT ROWID;
CREATE TABLE event (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX event_by_kind ON event (kind, subject, number);
CREATE TABLE tile (level INTEGER, position INTEGER, hashes BLOB NOT NULL, PRIMARY KEY (level, position));
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE cosignature (size INTEGER, witness TEXT, line TEXT NOT NULL, PRIMARY KEY (size, witness));
)sql";

/// "2026-11", "2026-11.02".
bool is_segment_name(std::string_view name) {
    constexpr std::string_view pattern = "0000-00.00";
    if (name.size() != 7 && name.size() != pattern.size()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const bool digit = name[i] >= '0' && name[i] <= '9';
        if (pattern[i] == '0' ? !digit : name[i] != pattern[i]) return false;
    }
    return true;
}

std::string set_format(std::int64_t format) {
    return "PRAGMA user_version = " + std::to_string(format);
}

}  // namespace

std::string init_command() {
    return "tsactl --config tsad.toml archive init (of a TAA: taad --config taad.toml archive init)";
}

std::string month_of(std::int64_t at_us) {
    return to_rfc3339(from_unix_us(at_us), 0).substr(0, 7);
}

Result<std::string> name_after(const std::string& segment) {
    const int before = segment.size() > 7 ? std::stoi(segment.substr(8)) : 1;
    if (before >= 99)
        return Error::environment("the segment " + segment + " is the last one that its month can have");
    const std::string number = std::to_string(before + 1);
    return segment.substr(0, 7) + (before < 9 ? ".0" : ".") + number;
}

std::string segment_path(const std::string& dir, const std::string& name) {
    return dir + "/" + name + suffix;
}

Result<std::vector<std::string>> list_segments(const std::string& dir) {
    std::vector<std::string> names;
    DIR* folder = ::opendir(dir.c_str());
    if (!folder) {
        if (errno == ENOENT) return names;
        if (errno == ENOTDIR)
            return Error::usage(dir + ": no folder, so no archive; give the folder that holds one");
        return Error::environment(dir + ": " + std::strerror(errno) +
                                  "; check that it is a folder and who may read it");
    }
    while (const dirent* entry =
               ::readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
        const std::string_view file = entry->d_name;
        if (!file.ends_with(suffix)) continue;
        const std::string_view name = file.substr(0, file.size() - std::string_view(suffix).size());
        if (!is_segment_name(name)) continue;
        struct stat status {};
        // A pipe of that name would be waited for.
        if (::stat(segment_path(dir, std::string(name)).c_str(), &status) == 0 && S_ISREG(status.st_mode))
            names.emplace_back(name);
    }
    ::closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
}

Result<Meta> read_meta(sqlite::Database& database, const std::string& path) {
    const auto application = database.integer("PRAGMA application_id");
    if (!application) return application.error();
    const auto version = database.integer("PRAGMA user_version");
    if (!version) return version.error();
    if (*application != 1263487829)
        return Error::environment(path + ": no segment of a Kokuin archive: move it out of the folder");
    if (std::find(std::begin(formats), std::end(formats), *version) == std::end(formats))
        return Error::environment(
            path + ": archive format " + std::to_string(*version) +
            ", this program knows the formats 4 and 5: use the program of that time, or "
            "a newer one");
    // What such a thing would do when it is read nobody knows.
    auto strange = database.prepare(
        "SELECT name FROM sqlite_schema WHERE type IN ('view', 'trigger') OR (type = 'table' AND "
        "ifnull(rootpage, 0) = 0) LIMIT 1");
    if (!strange) return strange.error();
    const auto found = strange->step();
    if (!found) return found.error();
    if (*found)
        return Error::environment(
            path + ": holds '" + one_line(strange->text(0)) +
            "', a view, a trigger or a virtual table, which no segment has: the archive was "
            "tampered with, restore a copy");
    Meta meta;
    meta.format = *version;
    const auto archive = database.text("SELECT value FROM meta WHERE key = 'archive'");
    if (!archive) return archive.error();
    const auto origin = database.text("SELECT value FROM meta WHERE key = 'origin'");
    if (!origin) return origin.error();
    const auto segment = database.text("SELECT value FROM meta WHERE key = 'segment'");
    if (!segment) return segment.error();
    const auto first = database.integer("SELECT value FROM meta WHERE key = 'first'");
    if (!first) return first.error();
    const auto previous = database.text("SELECT value FROM meta WHERE key = 'previous'");
    if (!previous) return previous.error();
    meta.archive = *archive;
    meta.origin = *origin;
    meta.segment = *segment;
    meta.first = *first;
    meta.previous = *previous;
    return meta;
}

Done create_segment(const std::string& dir, const Meta& meta, const TileEdge& edge) {
    // Under another name first: a segment is never seen without its schema.
    const std::string path = segment_path(dir, meta.segment);
    const std::string draft = path + ".new";
    for (const char* leftover : {"", "-journal", "-wal", "-shm"}) ::unlink((draft + leftover).c_str());
    {
        auto database = sqlite::Database::open(draft, sqlite::Database::Mode::create);
        if (!database) return database.error();
        if (auto done = database->execute("PRAGMA synchronous=FULL; BEGIN IMMEDIATE;"); !done) return done;
        if (auto done = database->execute(schema); !done) return done;
        if (auto done = database->execute(set_format(meta.format).c_str()); !done) return done;
        auto insert = database->prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)");
        if (!insert) return insert.error();
        const std::pair<std::string_view, std::string_view> texts[] = {{"archive", meta.archive},
                                                                       {"origin", meta.origin},
                                                                       {"segment", meta.segment},
                                                                       {"previous", meta.previous}};
        for (const auto& [key, value] : texts) {
            insert->bind(1, key);
            insert->bind(2, value);
            if (auto done = insert->run(); !done) return done;
        }
        insert->bind(1, std::string_view("first"));
        insert->bind(2, meta.first);
        if (auto done = insert->run(); !done) return done;
        auto insert_tile = database->prepare(insert_tile_sql);
        if (!insert_tile) return insert_tile.error();
        for (const Tile& tile : edge.tiles()) {
            bind_tile(*insert_tile, tile);
            if (auto done = insert_tile->run(); !done) return done;
        }
        if (auto done = database->execute("COMMIT"); !done) return done;
    }
    if (::rename(draft.c_str(), path.c_str()) != 0)
        return Error::environment(path + ": can't be made: " + std::strerror(errno));
    return sync_folder(dir);
}

Done mark_restored(const std::string& dir) {
    const auto names = list_segments(dir);
    if (!names) return names.error();
    for (const std::string& name : *names) {
        auto database = sqlite::Database::open(segment_path(dir, name), sqlite::Database::Mode::write);
        if (!database) return database.error();
        if (auto done =
                database->execute(("PRAGMA synchronous=FULL; " + set_format(restored_format)).c_str());
            !done)
            return done;
    }
    return {};
}

void bind_tile(sqlite::Statement& insert, const Tile& tile) {
    insert.bind(1, static_cast<std::int64_t>(tile.level));
    insert.bind(2, static_cast<std::int64_t>(tile.position));
    insert.bind(3, View(tile.hashes));
}

Result<Bytes> read_tile(sqlite::Database& database, unsigned level, std::uint64_t position) {
    auto select = database.prepare("SELECT hashes FROM tile WHERE level = ?1 AND position = ?2");
    if (!select) return select.error();
    select->bind(1, static_cast<std::int64_t>(level));
    select->bind(2, static_cast<std::int64_t>(position));
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row) return Bytes();
    const View hashes = select->octets(0);
    return Bytes(hashes.begin(), hashes.end());
}

Result<std::optional<Bytes>> read_blob(sqlite::Database& database, const BlobId& id) {
    auto select = database.prepare("SELECT content FROM blob WHERE id = ?1");
    if (!select) return select.error();
    select->bind(1, View(id));
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row) return std::optional<Bytes>();
    const View content = select->type(0) == sqlite::Statement::Type::blob ? select->octets(0) : View();
    return std::optional<Bytes>(Bytes(content.begin(), content.end()));
}

IssuanceKeys keys_of(const Issuance& issuance) {
    return {without_zeros(issuance.serial), issuance.gen_time_us, imprint_key(issuance.imprint)};
}

IssuanceKeys keys_of(const OwnIssuance& issuance) {
    return {without_zeros(issuance.serial), issuance.gen_time_us, imprint_key(issuance.imprint)};
}

Done run_on_index(const IssuanceKeys& keys, RecordNumber number, sqlite::Statement& serial,
                  sqlite::Statement& time, sqlite::Statement& imprint) {
    serial.bind(1, View(keys.serial));
    serial.bind(2, number);
    if (auto done = serial.run(); !done) return done;
    time.bind(1, keys.gen_time_us);
    time.bind(2, number);
    if (auto done = time.run(); !done) return done;
    imprint.bind(1, keys.imprint);
    imprint.bind(2, number);
    return imprint.run();
}

std::int64_t imprint_key(View imprint) {
    std::uint64_t key = 0;
    for (std::size_t i = 0; i < 8; ++i) key = key << 8U | (i < imprint.size() ? imprint[i] : 0U);
    return static_cast<std::int64_t>(key);
}

Bytes without_zeros(View magnitude) {
    while (!magnitude.empty() && magnitude.front() == 0) magnitude = magnitude.subspan(1);
    return {magnitude.begin(), magnitude.end()};
}

Result<std::vector<std::string>> schema_objects() {
    auto database = sqlite::Database::open(":memory:", sqlite::Database::Mode::create);
    if (!database) return database.error();
    if (auto done = database->execute(schema); !done) return done.error();
    auto select = database->prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
    if (!select) return select.error();
    std::vector<std::string> objects;
    while (true) {
        const auto row = select->step();
        if (!row) return row.error();
        if (!*row) return objects;
        objects.push_back(select->text(0));
    }
}

std::string parent_of(const std::string& dir) {
    const auto slash = dir.find_last_of('/', dir.find_last_not_of('/'));
    return slash == std::string::npos ? "." : slash == 0 ? "/" : dir.substr(0, slash);
}

Done sync_folder(const std::string& dir) {
    const int folder = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool good = folder >= 0 && ::fsync(folder) == 0;
    const int error = errno;
    if (folder >= 0) ::close(folder);
    if (!good)
        return Error::environment(dir + ": can't be synced: " + std::strerror(error) + "; check the disk");
    return {};
}

}  // namespace kokuin::store
